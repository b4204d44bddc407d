"""Street addresses in Chinese by rule: where they begin, administrative and street parts, a house number.

They begin at a province, a large city or a district of a municipality, or after a label such as 收货地址.
Every part is some characters and a unit (区, 路, 小区), and the characters cannot be a unit, so a pattern
reads an address in one way only. Without a house number it is a region, not an address.
"""

from compliance.pii.detector import Detector, just_after

_UNITS = "市州盟区县旗镇乡村路街道巷弄里园城庄苑坊厦场寓屯段"
# No place name holds one of these, and a sentence soon does.
_FUNCTION = "的是在与了有为也把被这我你他她它们很就不要能去到对以及或但而因所呢吗吧啊"
_BODY = f"[^\\W{_UNITS}{_FUNCTION}a-z_]"
_PART = f"{_BODY}{{1,9}}[{_UNITS}]{{1,3}}[ ]?"
_HOUSE = (
    "[0-9a-z一二三四五六七八九十]{1,6}(?:-[0-9]{1,4})?[ ]?(?:号楼|号院|号|弄|栋|幢|座|单元|楼|层|室|房|组|队|期|门)[ ]?"
)
_REST = f"(?:{_PART}){{1,7}}(?:{_HOUSE}){{1,5}}(?:[0-9]{{2,4}}室?)?"

_PROVINCES = (
    "河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南|四川|贵州|云南|陕西|甘肃|青海"
    "|台湾"
)
_REGIONS = "内蒙古|广西壮族|西藏|宁夏回族|新疆维吾尔"
_CITIES = (
    "北京|上海|天津|重庆|广州|深圳|杭州|南京|苏州|成都|武汉|西安|长沙|郑州|青岛|济南|大连|沈阳|宁波|厦门|福州|无锡|佛山"
    "|东莞|合肥|昆明|哈尔滨|长春|石家庄|南宁|贵阳|南昌|太原|海口|兰州|乌鲁木齐|呼和浩特|银川|西宁|拉萨|温州|绍兴|嘉兴"
    "|金华|义乌|台州|常州|南通|徐州|扬州|烟台|潍坊|珠海|中山|惠州|汕头|泉州|洛阳|三亚"
)
_DISTRICTS = (
    "北京(?:东城|西城|朝阳|海淀|丰台|石景山|通州|昌平|大兴|顺义|房山)|上海(?:黄浦|徐汇|长宁|静安|普陀|虹口|杨浦|闵行"
    "|宝山|嘉定|浦东|松江|青浦|奉贤)|天津(?:和平|河东|河西|南开|河北|红桥|滨海)|重庆(?:渝中|江北|南岸|渝北|巴南)"
)
_PLACES = f"{_PROVINCES}|{_REGIONS}|{_CITIES}".split("|")
_LABEL_ENDS = ("址", "[在住]地", "家住", "住在", "[寄送][到至往]", "[址地][是为在]", "[:=]")
_LABELS = "地址|住址|所在地|居住地|住在|家住|寄到|寄往|寄至|送到|送至|送往"

AT_PLACE = Detector(
    type="address",
    rule="address.place",
    why="an address from province or city down to a house number",
    strength=15,
    lead="".join(sorted({name[0] for name in _PLACES})),
    not_after="\\0",
    ahead=f"(?:\\Z|{'|'.join(f'(?<={name[0]}){name[1]}' for name in sorted(_PLACES))})",
    core=(f"(?:(?:{_PROVINCES})省|(?:{_REGIONS})自治区|(?:{_CITIES})市|(?:{_DISTRICTS})(?:新)?区)[ ]?{_REST}"),
    after="",
)
AFTER_LABEL = Detector(
    type="address",
    rule="address.label",
    why="an address after a label such as 收货地址",
    strength=16,
    cue="[址地住在到至往是为:=\"' ]" + just_after(*_LABEL_ENDS, first="", widest=5),
    not_after="\\0",
    core=_REST,
    after="",
    context=rf"(?:{_LABELS})[\"' ]{{0,2}}(?:[:=]|是|为|在)?[\"' ]{{0,3}}$",
)
