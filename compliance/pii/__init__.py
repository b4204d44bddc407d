"""Personal information: one detector per file, one pre-filter over all of them, Presidio as the framework."""

PII_TYPES = (
    "id_card",
    "uscc",
    "bank_card",
    "mobile",
    "landline",
    "plate",
    "passport",
    "hk_macau_permit",
    "email",
    "ipv4",
    "wechat",
    "qq",
    "person_name",
    "address",
)
