"""Public registers behind the checks of `pii`."""

_TOP_LEVEL_DOMAINS = """
    com org net edu gov mil int info biz name pro aero coop museum jobs mobi travel tel cat asia
    post app dev page cloud online site website store shop tech xyz club live life world today
    news blog email digital agency company solutions services group team media network systems
    software design studio academy school university college institute foundation health clinic
    hospital care law legal bank finance money global international africa berlin london paris
    tokyo nyc wiki art music photo games fun top vip work expert support help link click space
    ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs
    bt bw by bz ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee
    eg er es et eu fi fj fk fm fo fr ga gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm
    hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb
    lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz
    na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs
    ru rw sa sb sc sd se sg sh si sj sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk
    tl tm tn to tr tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw
"""
TOP_LEVEL_DOMAINS = frozenset(_TOP_LEVEL_DOMAINS.split())
"""All country codes and the generic domains that mail is common under. Source: IANA, root zone."""

EXAMPLE_DOMAINS = frozenset({"example.com", "example.org", "example.net", "example.edu"})
"""Nobody's, by RFC 2606; `.example`, `.test` and `.invalid` are no top-level domains at all."""

_COUNTRY_CODES = """
    1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63
    64 65 66 81 82 84 86 90 91 92 93 94 95 98 211 212 213 216 218 220 221 222 223 224 225 226 227
    228 229 230 231 232 233 234 235 236 237 238 239 240 241 242 243 244 245 246 247 248 249 250 251
    252 253 254 255 256 257 258 260 261 262 263 264 265 266 267 268 269 290 291 297 298 299 350 351
    352 353 354 355 356 357 358 359 370 371 372 373 374 375 376 377 378 380 381 382 383 385 386 387
    389 420 421 423 500 501 502 503 504 505 506 507 508 509 590 591 592 593 594 595 596 597 598 599
    670 672 673 674 675 676 677 678 679 680 681 682 683 685 686 687 688 689 690 691 692 850 852 853
    855 856 880 886 960 961 962 963 964 965 966 967 968 970 971 972 973 974 975 976 977 992 993 994
    995 996 998
"""
COUNTRY_CODES = frozenset(_COUNTRY_CODES.split())
"""Source: ITU-T E.164, list of assigned country codes."""

CARD_BRANDS = (
    (("4",), (13, 16, 19)),
    (("51", "52", "53", "54", "55", *map(str, range(2221, 2721))), (16,)),
    (("34", "37"), (15,)),
    (("6011", "65", *map(str, range(644, 650))), (16, 19)),
    (tuple(map(str, range(3528, 3590))), (16,)),
    (("36", "38", "39", *map(str, range(300, 306))), (14,)),
    (("62",), (16, 17, 18, 19)),
)
"""First digits and lengths: Visa, Mastercard, American Express, Discover, JCB, Diners, UnionPay."""
