"""Street addresses in Chinese by rule: where they begin, administrative and street parts, a house number.

They begin at a province, a large city or a district of a municipality, or after a label such as 收货地址.
Every part is some characters and a unit (区, 路, 小区), and the characters cannot be a unit, so a pattern
reads an address in one way only. Without a house number it is a region, not an address.
"""

from collections.abc import Iterable

from compliance.pii.detector import Detector, just_after, soon

_UNITS = "市州盟区县旗镇乡村路街道巷弄里园城庄苑坊厦场寓屯段"
# No place name holds one of these, and a sentence soon does.
_FUNCTION = (
    "的是在与了有为也把被这我你他她它们很就不要能去到对以及或但而因所呢吗吧啊"
    "等最还您请让给买卖更又只各些哪谁怎么已用送寄收"
)
_BODY = f"[^\\W{_UNITS}{_FUNCTION}a-z_]"
_PART = f"{_BODY}{{1,9}}[{_UNITS}]{{1,3}}[ ]?"
_HOUSE = (
    "附?[0-9a-z一二三四五六七八九十]{1,6}(?:-[0-9]{1,4})?[ ]?(?:号楼|号院|号(?:之[0-9一二三四五六七八九十]{1,2})?"
    "|弄|栋|幢|座|单元|楼|层|室|房|组|队|期|门)"
)
_FLAT = "[ ]?[0-9]{1,4}(?:-[0-9]{1,4})?(?:室|房|(?![0-9-]|[ ][0-9]))"
HOUSES = f"{_HOUSE}(?:[ ]?{_HOUSE}){{0,4}}(?:之[0-9]{{1,2}}|{_FLAT})?"
# A building whose name ends in none of the units, only between a house number and a floor or room.
_BUILDING = f"[^\\W{_UNITS}{_FUNCTION}0-9a-z_]{{1,6}}(?:中心|大楼|酒店|[汇塔院馆府轩阁居店湾港])"
_TOWER = (
    f"[^\\W{_UNITS}{_FUNCTION}0-9a-z_]{{1,6}}"
    "(?:中心|大楼|酒店|大厦|广场|公寓|产业园|创业园|科技园|软件园|艺术区|海港城)"
)
# An estate of any name, where the number of a building follows.
_ESTATE = (
    f"[^\\W{_FUNCTION}0-9a-z_]{{2,10}}?[0-9a-z一二三四五六七八九十]{{1,4}}(?:号楼|栋|幢|座|单元)"
    f"(?:[ ]?{_HOUSE}){{0,4}}(?:{_FLAT})?"
)
DOORS = f"[东南西北中]?{HOUSES}(?:[ ]?(?:{_ESTATE}|{_BUILDING}{HOUSES}|{_TOWER}(?:{HOUSES}|{_FLAT})?|地[下铺]))?"
_REST = f"(?:{_PART}){{1,7}}{DOORS}"
# After a city without 市 only a street with a number is an address: 深圳南山区5号 is a date as well.
_STREET = f"(?:{_PART}){{1,5}}(?<=[路街巷][ ]?|大道[ ]?){DOORS}"

PROVINCES = (
    "河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南|四川|贵州|云南|陕西|甘肃|青海"
    "|台湾"
)
REGIONS = "内蒙古|广西壮族|西藏|宁夏回族|新疆维吾尔"
CITIES = (
    "北京|上海|天津|重庆|石家庄|唐山|秦皇岛|邯郸|邢台|保定|张家口|承德|沧州|廊坊|衡水"
    "|太原|大同|阳泉|长治|晋城|朔州|晋中|运城|忻州|临汾|吕梁|呼和浩特|包头|乌海|赤峰"
    "|通辽|鄂尔多斯|呼伦贝尔|巴彦淖尔|乌兰察布|沈阳|大连|鞍山|抚顺|本溪|丹东|锦州|营口"
    "|阜新|辽阳|盘锦|铁岭|朝阳|葫芦岛|长春|吉林|四平|辽源|通化|白山|松原|白城|哈尔滨"
    "|齐齐哈尔|鸡西|鹤岗|双鸭山|大庆|伊春|佳木斯|七台河|牡丹江|黑河|绥化|南京|无锡|徐州"
    "|常州|苏州|南通|连云港|淮安|盐城|扬州|镇江|泰州|宿迁|昆山|常熟|张家港|江阴|杭州"
    "|宁波|温州|嘉兴|湖州|绍兴|金华|衢州|舟山|台州|丽水|义乌|慈溪|余姚|合肥|芜湖|蚌埠"
    "|淮南|马鞍山|淮北|铜陵|安庆|黄山|滁州|阜阳|宿州|六安|亳州|池州|宣城|福州|厦门|莆田"
    "|三明|泉州|漳州|南平|龙岩|宁德|晋江|南昌|景德镇|萍乡|九江|新余|鹰潭|赣州|吉安|宜春"
    "|抚州|上饶|济南|青岛|淄博|枣庄|东营|烟台|潍坊|济宁|泰安|威海|日照|临沂|德州|聊城"
    "|滨州|菏泽|郑州|开封|洛阳|平顶山|安阳|鹤壁|新乡|焦作|濮阳|许昌|漯河|三门峡|南阳"
    "|商丘|信阳|周口|驻马店|武汉|黄石|十堰|宜昌|襄阳|鄂州|荆门|孝感|荆州|黄冈|咸宁|随州"
    "|长沙|株洲|湘潭|衡阳|邵阳|岳阳|常德|张家界|益阳|郴州|永州|怀化|娄底|广州|深圳|珠海"
    "|汕头|佛山|韶关|湛江|肇庆|江门|茂名|惠州|梅州|汕尾|河源|阳江|清远|东莞|中山|潮州"
    "|揭阳|云浮|南宁|柳州|桂林|梧州|北海|防城港|钦州|贵港|玉林|百色|贺州|河池|来宾|崇左"
    "|海口|三亚|儋州|成都|自贡|攀枝花|泸州|德阳|绵阳|广元|遂宁|内江|乐山|南充|眉山|宜宾"
    "|广安|达州|雅安|巴中|资阳|贵阳|六盘水|遵义|安顺|毕节|铜仁|昆明|曲靖|玉溪|保山|昭通"
    "|丽江|普洱|临沧|拉萨|日喀则|西安|铜川|宝鸡|咸阳|渭南|延安|汉中|榆林|安康|商洛|兰州"
    "|嘉峪关|金昌|白银|天水|武威|张掖|平凉|酒泉|庆阳|定西|陇南|西宁|海东|银川|石嘴山"
    "|吴忠|固原|中卫|高雄|台北|台南|台中|新北|桃园|新竹|基隆|嘉义|乌鲁木齐|克拉玛依|吐鲁番|哈密"
)
_DISTRICTS = (
    "北京(?:东城|西城|朝阳|海淀|丰台|石景山|通州|昌平|大兴|顺义|房山)|上海(?:黄浦|徐汇|长宁|静安|普陀|虹口|杨浦|闵行"
    "|宝山|嘉定|浦东|松江|青浦|奉贤)|天津(?:和平|河东|河西|南开|河北|红桥|滨海)|重庆(?:渝中|江北|南岸|渝北|巴南)"
)
_PLACES = f"{PROVINCES}|{REGIONS}|{CITIES}".split("|")
_LABEL_ENDS = ("址", "[在住]地", "家住", "住在", "[寄送][到至往]", "[址地][是为在]", "[:=]")
_LABELS = "地址|住址|所在地|居住地|住在|家住|寄到|寄往|寄至|送到|送至|送往"


def _any_of(chars: Iterable[str]) -> str:
    return "[" + "".join(sorted(set(chars))) + "]"


AT_PLACE = Detector(
    type="address",
    rule="address.place",
    why="an address from province or city down to a house number",
    strength=15,
    lead="".join(sorted({name[0] for name in _PLACES})),
    not_after="\\0",
    second="".join(sorted({name[1] for name in _PLACES})),
    ahead=soon(_any_of(name[1] for name in _PLACES)),
    beginnings=frozenset(name[:2] for name in _PLACES),
    core=(
        f"(?:(?:{PROVINCES})省|(?:{REGIONS})自治区|(?:{CITIES})市|(?:{_DISTRICTS})(?:新)?区)[ ]?{_REST}"
        f"|(?:{CITIES}){_STREET}"
    ),
    after="",
)
AFTER_LABEL = Detector(
    type="address",
    rule="address.label",
    why="an address after a label such as 收货地址",
    strength=16,
    cue="址地住在到至往是为:=\"' ",
    not_after="\\0",
    ahead=just_after(*_LABEL_ENDS, widest=5),
    core=f"(?![改从变换更搬]){_REST}",
    after="",
    context=rf"(?:{_LABELS})[\"' ]{{0,2}}(?:[:=]|是|为|在)?[\"' ]{{0,3}}$",
    near=12,
)
