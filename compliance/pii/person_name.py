"""Chinese personal names by rule: a surname and one or two more characters, where context says so.

After a label (收货人：), after 我叫 and the like, after 我是 or a role where the phrase ends with the name,
before 先生/女士/小姐, or before 收 on a parcel; a surname alone with a title is of low severity. A name without
any of these is left alone: without a dictionary of people it would hit ordinary words.
"""

from itertools import pairwise

from compliance.pii.detector import HAN, Detector
from compliance.pii.surname_words import WORDS

_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈"
    "姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
    "温康施文牛樊葛邢安齐易乔伍庞颜倪庄聂章鲁岳翟殷詹申欧耿关兰焦俞左柳甘祝包宁尚符舒阮柯纪梅童凌毕单季裴"
    "霍涂成苗谷盛曲翁冉骆蓝路游辛靳欧管柴蒙鲍华喻祁房滕屈饶解牟艾尤阳时穆农司卓古吉缪简车项连芦麦褚娄窦戚"
    "岑景党宫费卜冷晏席卫米柏宗瞿桂全佟应臧闵苟邬边卞姬师和仇栾隋商刁沙荣巫寇桑郎甄丛仲虞敖巩明佘池查麻苑"
    "迟邝官封谈匡鞠惠荆乐冀胥南班储原栗燕楚鄢扶奚"
)
_COMPOUND = (
    "欧阳|太史|上官|端木|司马|东方|独孤|南宫|夏侯|诸葛|闻人|皇甫|尉迟|公孙|慕容|令狐|司徒|司空|长孙|宇文|西门|轩辕"
)
_STOP = "的是在来和与及有住电手男女先请您我你他她它们也就都不要会从自已因向于对把被给让今吗呢吧啊了着过得号并但或后前"
_NOT_NAMES = (
    "方式|方便|方法|方案|高兴|高级|高中|高端|高效|马上|马来|白色|白天|黄金|黄色|金额|金融|金牌|安全|安装|周末|周一|周二"
    "|周三|周四|周五|周六|周日|江苏|江西|万一|常用|时候|时间|成功|成都|成本|成员|于是|任何|任务|余额|全部|全国|文化|文件"
    "|文案|明天|明细|温度|和平|单位|单号|单身|计划|包括|包装|广东|关于|关系|石家|钟点|应该|应用|查询|解决|官方|路线|路上"
    "|管理|商品|商家|商务|项目|连接|原因|全名|全称|简称|师傅|封面|米色|农民|华为|党员|车主|车牌|古代|游客|沙发|荣誉"
    "|何时|何人|何处|许可|许多|左右|向导|易用|程序|程度|叶子|宁波|南京|南方|海外|段落|康复|武器|金色|严格|万元|王者|王子|公主"
)
_LABEL_WORDS = (
    "姓[ ]{0,4}名"
    "|联系人|收货人|收件人|寄件人|发件人|法定代表人|法人代表|投保人|被保险人|受益人|持卡人|户名|经办人|申请人"
    "|负责人|当事人|签收人|监护人|患者|户主|法人|原告|被告|委托人|受托人|借款人|出借人|担保人|出租人|承租人|甲方|乙方"
    "|乘[车机]人|入住人|预订人|下单人|订货人|提货人|取件人|接收人|收款人|付款人|汇款人|联络人|开户[人名]|账户名|代理人"
    "|推荐人|介绍人|证明人|见证人|驾驶人|驾驶员"
)
_ROLES = "客户|顾客|买家|卖家|乘客|旅客|司机|学员|业主|车主|房东|租客|同事|同学|收件|寄件"
_LABEL_KEYS = "(?:real|full|contact|customer|receiver|recipient)[_ ]?name|consignee"
# What a name may follow where only the title after it tells of it: other characters would make up a longer word.
_BEFORE_NAMES = "的请和与是由找给向约叫对为让跟把同及至往人系告送见问谢邀致户"
# Surnames that are hardly words themselves, as 和 and 于 are.
_PLAIN_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘蒋蔡余杜叶程苏魏吕丁沈姚卢姜崔钟谭陆汪范廖贾"
    "夏韦付邹孟熊秦邱江尹薛闫侯龙史陶黎贺顾毛郝龚邵钱覃武戴莫孔汤"
)
_NEXT_WORD = "(?:电话|手机|先生|女士|小姐|地址|身份|性别|联系)"


def is_addressed_name(value: str) -> bool:
    """No 王总 or 陈小姐, and no 高家大 before 小姐."""
    given = value[1:]
    return is_no_common_word(value) and not set(given) & set("老总") and given not in ("家大", "家二", "小姐")


def _han_except(kept: str) -> str:
    """A class body of all Chinese characters but these."""
    codes = [0x4DFF, *sorted(ord(char) for char in set(kept)), 0xA000]
    ranges = ((low + 1, high - 1) for low, high in pairwise(codes))
    return "".join(f"{chr(low)}-{chr(high)}" for low, high in ranges if low <= high)


def is_no_common_word(value: str) -> bool:
    """For weak contexts: nothing that begins like a word of a dictionary."""
    return not is_common_word(value[:2])


def is_common_word(beginning: str) -> bool:
    """Whether two characters are a word of a dictionary, or one character twice as in 谢谢."""
    return beginning in WORDS or beginning in _ORDINARY or beginning == beginning[:1] * 2


def is_name(value: str) -> bool:
    """Not a word that merely begins with a surname."""
    return value[:2] not in _ORDINARY


_GIVEN = f"[{_han_except(_STOP)}]"
_NAME = f"(?:(?:{_COMPOUND}){_GIVEN}{{1,2}}|[{_SURNAMES}]{_GIVEN}{{1,2}})"
_ORDINARY = frozenset(_NOT_NAMES.split("|"))
_LEAD = "".join(sorted(set(_SURNAMES) | {name[0] for name in _COMPOUND.split("|")}))

_TITLE_OR_NEXT = rf"(?:\Z|[先女小](?:\Z|[生士姐])|[{HAN}]"
_TITLE_SOON = rf"(?=\Z|[{HAN}]{_TITLE_OR_NEXT}{_TITLE_OR_NEXT}(?:\Z|[先女小]))))"

_RECEIPT_OR_NEXT = rf"(?:\Z|[ 收亲]|[{HAN}]"

AFTER_LABEL = Detector(
    type="person_name",
    rule="person_name.label",
    why="a personal name after a label such as 收货人",
    strength=20,
    lead=_LEAD,
    second=HAN,
    not_after="^:= \"'",
    ahead=rf"(?=[{HAN}]|\Z)",
    core=rf"(?P<value>(?:{_COMPOUND})[{HAN}]{{1,2}}|[{_SURNAMES}][{HAN}]{{1,2}})",
    pending="[电手先女小地身性联]?",
    after=rf"(?![{HAN}])|(?={_NEXT_WORD})",
    context=rf"(?:{_LABEL_WORDS}|{_LABEL_KEYS})[\"' ]{{0,2}}(?:[:=]|(?<= ))[\"' ]{{0,3}}$"
    rf"|(?:{_ROLES})[\"' ]{{0,2}}[:=][\"' ]{{0,3}}$",
    near=24,
    valid=is_name,
    doomed=lambda beginning: not is_name(beginning),
    shortest=2,
)
AFTER_CALLED = Detector(
    type="person_name",
    rule="person_name.called",
    why="a personal name after words such as 我叫",
    strength=20,
    lead=_LEAD,
    second=HAN,
    not_after="^叫是做",
    ahead=f"(?={_GIVEN}|\\Z)",
    core=f"(?P<value>{_NAME})",
    after=rf"(?![{HAN}])|(?=[{_STOP}])",
    context=r"(?:[我他她]叫|名叫|名字叫|名字是|叫做|[,;。]叫)$",
    near=5,
    valid=is_name,
    doomed=lambda beginning: not is_name(beginning),
    shortest=2,
)
AFTER_ROLE = Detector(
    type="person_name",
    rule="person_name.role",
    why="a personal name right after a word such as 我是 or 客户, where the phrase ends or 的 follows",
    strength=19,
    lead=_LEAD,
    second=HAN,
    not_after="^人名者主表告方是为户客家员机东事学件",
    ahead=f"(?={_GIVEN}|\\Z)",
    core=f"(?P<value>{_NAME})",
    pending="[电手先女小地身性联]?",
    after=rf"(?![{HAN}])|(?=的|{_NEXT_WORD})",
    context=rf"(?:我是|本人|(?:{_LABEL_WORDS})[是为]?|{_ROLES})$",
    near=9,
    valid=is_addressed_name,
    doomed=is_common_word,
    shortest=2,
)
BEFORE_TITLE = Detector(
    type="person_name",
    rule="person_name.title",
    why="a personal name before a form of address such as 先生",
    strength=20,
    lead=_LEAD,
    second=HAN,
    not_after=_han_except(_BEFORE_NAMES),
    ahead=_TITLE_SOON,
    core=f"(?P<value>{_NAME})(?:先生|女士|小姐)",
    after="",
    valid=is_addressed_name,
    doomed=is_common_word,
    shortest=4,
)
SURNAME_WITH_TITLE = Detector(
    type="person_name",
    rule="person_name.surname",
    why="a surname with a form of address",
    strength=17,
    lead=_PLAIN_SURNAMES,
    second="先女小",
    not_after=_han_except(_BEFORE_NAMES),
    ahead=r"(?=\Z|先(?:生|\Z)|女(?:士|\Z)|小(?:姐|\Z))",
    core=f"(?P<value>[{_PLAIN_SURNAMES}])(?:先生|女士|小姐)",
    after="(?![产活态平们])",
    severity=lambda _value: "low",
)
BEFORE_RECEIPT = Detector(
    type="person_name",
    rule="person_name.receipt",
    why="a personal name before 收 or 亲启 as on a parcel",
    strength=18,
    lead=_LEAD,
    second=HAN,
    not_after=_han_except("号室房楼座栋店"),
    ahead=rf"(?=\Z|[{HAN}]{_RECEIPT_OR_NEXT}{_RECEIPT_OR_NEXT}(?:\Z|[ 收亲]))))",
    core=f"(?P<value>{_NAME})[ ]?(?:收|亲启)",
    after=f"(?![{HAN}])",
    valid=is_no_common_word,
    doomed=is_common_word,
    shortest=3,
)
