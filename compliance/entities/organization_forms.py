"""How names of organisations end in Chinese: legal forms, bodies that a place tells apart, and weaker words."""

import re
from collections.abc import Iterable, Iterator

_BUREAUS = (
    "审批|监管|管理|建设|环境|资源|资源和规划|水务|税务|教育|财政|统计|体育|旅游|文旅|民政|交通|运输|农业|农业农村"
    "|林业|商务|审计|信访|气象|邮政|知识产权|保障|监督|执法|城管|住建|住房和城乡建设|文化和旅游"
    "|人力资源和社会保障|司法|海事|粮食|物价|烟草|铁路|能源|卫生|健康|医保|应急|国土|规划|园林|工商|人社|公路"
    "|房管|档案"
)
_LEGAL = (
    "有限公司|有限责任公司|股份有限公司|合伙企业|股份公司|集团公司|总公司|分公司|律师事务所|会计师事务所|农民专业合作社"
    "|专业合作社|经营部|分行|支行"
)
_BODY = (
    "储蓄所|人民法院|人民检察院|人民政府|公安局|派出所|居委会|村委会|居民委员会|村民委员会|街道办事处|管理委员会"
    "|卫生服务中心|卫生院|疾控中心|信用社|基金会|大学|学院|银行|中学校|法院|检察院|卫健委|发改委"
    "|交警大队|电视台|出版社|日报社|报社|研究院|研究所|设计院|科学院|博物馆|图书馆|委员会|管委会"
    "|协会|学会|商会|联合会|证券|交易所|海关|消防大队|居委|红十字会|妇联|工会|福利院|保健院|执法队|敬老院|养老院|公证处"
    "|仲裁委|事务所|工作室|分局|支队|大队"
)
_WEAK = (
    "公司|集团|医院|诊所|门诊部|学校|中学|小学|高中|附中|附小|幼儿园|幼稚园|技校|职校|酒店|宾馆|饭店|大酒店|超市"
    "|商行|商城|书店|药店|药房|工厂|制造厂|俱乐部|农场|合作社|培训中心|体检中心|科技园|产业园|实验室|研究中心"
    "|数据中心|门市部|旅行社|影业|传媒|资本|科技|网络|实业|控股|餐饮|物业|地产|置业"
)
_TOO_GENERAL = "科技|网络|实业|控股|餐饮|物业|地产|置业|传媒|资本|影业|证券|科技园|产业园|超市|商城|实验室"

_NUMBERS = ["一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二"]
_CENTRES = "管理|服务|监测|鉴定|检测|救助|调解|政务|交易|就业|文化|活动|会展|体育|评估|急救|血液|结算"

LEGAL = frozenset(_LEGAL.split("|"))
BODIES = frozenset(
    [
        *_BODY.split("|"),
        *(one + end for one in _BUREAUS.split("|") for end in ("局", "厅", "总局")),
        *(f"{one}中心" for one in _CENTRES.split("|")),
        *(f"{one}中" for one in _NUMBERS),
    ]
)
TOO_GENERAL = frozenset(_TOO_GENERAL.split("|"))
NAMED_BY_PLACE = frozenset(["医院", "中学", "小学", "酒店", "宾馆", "饭店", "学校", "幼儿园"])
"""What a small place alone may name: 瑞金医院."""

PARTNERS = re.compile(r"\((?:特殊)?(?:普通|有限)合伙\)")
"""Follows the name and belongs to it."""

NOT_AFTER = re.compile(
    "(?<=仲裁委)员|(?<=[一二三四五六七八九十]中)[央国心间学等文有选的午]|(?<=大学|小学|中学|高中)(?:生|部|时|毕|阶|课|数|语|英|教)|(?<=银行)[卡业家利]|(?<=公司)(?:法(?![务人定律])|[债制化])"
    "|(?<=集团)[军化]|(?<=局)长|(?<=院)[长校]|(?<=酒店)[业式管]|(?<=厂)[家商房长]|(?<=学院)[派路]|(?<=大学)[城路]"
)
"""What makes another word of the suffix: 大学生, 公司法."""


ALL_SUFFIXES = LEGAL | BODIES | frozenset(_WEAK.split("|"))


def suffixes(text: str, found: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Of all suffixes found in a text the longest one that ends at a place, unless more makes another word of it."""
    longest: dict[int, int] = {}
    for start, end in found:
        longest[end] = min(start, longest.get(end, start))
    for end in sorted(longest):
        if not NOT_AFTER.match(text, end):
            yield longest[end], end
