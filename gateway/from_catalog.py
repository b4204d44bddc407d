"""What the catalog adds to a deployment's settings: prices, policies of variants, and nodes that can't be."""

from configs.compatibility import node_refusals
from configs.loader import SettingsError
from configs.schema import CatalogSettings, Settings
from configs.sections.ledger import PriceSettings


def with_catalog(settings: Settings, catalog: CatalogSettings) -> Settings:
    """The settings with the catalog's part filled in. Raises SettingsError for a node that can't serve its models."""
    refusals = node_refusals(settings.nodes, catalog)
    if refusals:
        raise SettingsError("nodes: " + "; ".join(refusals))
    ledger = settings.ledger.model_copy(update={"prices": prices(settings, catalog)})
    policies = variant_policies(settings.compliance.models, catalog)
    compliance = settings.compliance.model_copy(update={"models": policies})
    return settings.model_copy(update={"ledger": ledger, "compliance": compliance})


def prices(settings: Settings, catalog: CatalogSettings) -> dict[str, PriceSettings]:
    """The ledger's prices by model id, and the catalog's for models that the ledger has none for."""
    return {one.id: one.price for one in catalog.models if one.price} | settings.ledger.prices


def variant_policies(policies: dict[str, str], catalog: CatalogSettings) -> dict[str, str]:
    """Policies by model id, where a variant without one of its own has that of the model that it is of."""
    found = dict(policies)
    for public_id, meant in catalog.public_ids().items():
        own_id = meant.adapter.id if meant.adapter else meant.base.id
        if public_id not in found and own_id in policies:
            found[public_id] = policies[own_id]
    return found
