"""What an export says about itself, in Chinese and English."""

README = """\
# 审计日志导出 / Audit log export

## 中文

| 文件 | 内容 |
|---|---|
| `records.jsonl` | 每行一条：请求 `request`、管理操作 `act`、查阅留存文本 `access`、检查点 `checkpoint` |
| `links.jsonl` | 每行一条链接：写入者 `writer`、编号 `seq`、记录哈希 `record`、前一条哈希 `previous`、本条哈希 `own` |
| `signatures.jsonl` | 链头的 Ed25519 签名 |
| `keys.json` | 公钥；轮换后的公钥由前一把密钥担保（`vouched_by`、`voucher`）|
| `checkpoint.json` | 导出时所有链头，带签名 |
| `manifest.json` | 范围、数量、各文件的 SHA-256，带签名 |

校验（不需要数据库）：`opcgate audit verify-export 本文件夹 [--checkpoint 另行保管的检查点]`

自行校验：

1. 各文件的 SHA-256 与 `manifest.json` 一致。
2. 记录哈希 = SHA-256(`opcgate-audit-record-v1` ‖ 0x00 ‖ kind ‖ 0x00 ‖ 规范 JSON)。
   规范 JSON 即 `record` 字段：键排序、无空格、UTF-8；时刻为 1970 年起的微秒数，空值省略。
3. 链接哈希 = SHA-256(`opcgate-audit-link-v1`、writer、seq、kind、subject、at_us 各接一个 0x00，
   再接 record（32 字节）与 previous（32 字节）)。
4. 同一写入者的编号连续，`previous` 等于前一条的 `own`。
5. 签名内容 = `opcgate-audit-head-v1`、writer、seq、own（十六进制）、at_us、公钥编号，以 0x00 分隔。

说明：没有记录的链接，是超出时间范围、属于其他企业，或已超过保存期限而删除的记录（见 `audit.retain` 操作）。
用户文本不在导出之列。
公钥是否属于本单位，须与事先另行取得的检查点或公钥编号核对：文件自身无法证明这一点。

## English

| file | content |
|---|---|
| `records.jsonl` | one record a line: requests, administrative acts, readings of kept texts (`access`), checkpoints |
| `links.jsonl` | one link a line: writer, number, hash of the record, hash of the link before, own hash |
| `signatures.jsonl` | Ed25519 signatures of chain heads |
| `keys.json` | public keys; after a rotation the key before vouches for the new one |
| `checkpoint.json` | all heads when this was exported, signed |
| `manifest.json` | range, counts, SHA-256 of every file, signed |

To verify, without a database: `opcgate audit verify-export THIS_FOLDER [--checkpoint ONE_KEPT_ELSEWHERE]`.

By hand: (1) the files' SHA-256 are those of the manifest; (2) a record's hash is SHA-256 of `opcgate-audit-record-v1`,
a zero byte, the kind, a zero byte and the canonical JSON (the field `record`: keys sorted, no spaces, UTF-8; moments in
microseconds since 1970; nulls left out); (3) a link's hash is SHA-256 of `opcgate-audit-link-v1`, writer, seq, kind,
subject and at_us, each followed by a zero byte, then the record's and the previous link's 32 bytes; (4) numbers of a
writer have no gaps, and `previous` is the `own` of the link before; (5) a signature is over `opcgate-audit-head-v1`,
writer, seq, own in hexadecimal, at_us and the key's id, parted by zero bytes.

Links without a record stand for records outside the range, of other organisations, or deleted because their retention
was over (see the acts `audit.retain`). Users' texts are not part of an export. Whether a public key is the operator's
must be checked against a checkpoint or key id that you got some other way: no file can prove that of itself.
"""
