"""A sentence or two in each of many languages, as people write them."""

SENTENCES = {
    "de": [
        ("Gestern sind wir mit dem Zug nach Hamburg gefahren, weil das Auto in der Werkstatt war."),
        "Kannst du mir bitte erkl\u00e4ren, wie man einen guten Kuchen ohne Eier backt?",
    ],
    "fr": [
        (
            "Nous sommes partis en train pour Lyon hier matin, parce que la voiture \u00e9tait en "
            "panne."
        ),
        "Pourriez-vous m'expliquer comment on fait un bon g\u00e2teau sans oeufs ?",
    ],
    "es": [
        "Ayer fuimos en tren a Sevilla porque el coche estaba en el taller.",
        "\u00bfPodr\u00edas explicarme c\u00f3mo se prepara un buen pastel sin huevos?",
    ],
    "it": [
        "Ieri siamo andati a Firenze in treno perch\u00e9 la macchina era dal meccanico.",
        "Mi puoi spiegare come si prepara una buona torta senza uova?",
    ],
    "pt": [
        "Ontem fomos de comboio para o Porto porque o carro estava na oficina.",
        "Voc\u00ea pode me explicar como se faz um bom bolo sem ovos?",
    ],
    "nl": [
        ("Gisteren zijn we met de trein naar Utrecht gegaan omdat de auto in de garage stond."),
        "Kun je mij uitleggen hoe je een goede taart zonder eieren bakt?",
    ],
    "sv": [
        (
            "Ig\u00e5r \u00e5kte vi t\u00e5g till G\u00f6teborg eftersom bilen var p\u00e5 verk"
            "staden."
        ),
        "Kan du f\u00f6rklara f\u00f6r mig hur man bakar en god kaka utan \u00e4gg?",
    ],
    "da": [
        "I g\u00e5r tog vi toget til Aarhus, fordi bilen var p\u00e5 v\u00e6rksted.",
        "Kan du forklare mig, hvordan man bager en god kage uden \u00e6g?",
    ],
    "no": [
        "I g\u00e5r tok vi toget til Bergen fordi bilen var p\u00e5 verkstedet.",
        "Kan du forklare meg hvordan man baker en god kringle uten egg?",
    ],
    "fi": [
        "Eilen matkustimme junalla Tampereelle, koska auto oli korjaamolla.",
        ("Voitko selitt\u00e4\u00e4 minulle, miten leivotaan hyv\u00e4 kakku ilman kananmunia?"),
    ],
    "pl": [
        (
            "Wczoraj pojechali\u015bmy poci\u0105giem do Krakowa, poniewa\u017c samoch\u00f3d b"
            "y\u0142 w warsztacie."
        ),
        "Czy mo\u017cesz mi wyja\u015bni\u0107, jak upiec dobre ciasto bez jajek?",
    ],
    "cs": [
        "V\u010dera jsme jeli vlakem do Brna, proto\u017ee auto bylo v opravn\u011b.",
        ("M\u016f\u017ee\u0161 mi vysv\u011btlit, jak se pe\u010de dobr\u00fd dort bez vajec?"),
    ],
    "hu": [
        ("Tegnap vonattal utaztunk Szegedre, mert az aut\u00f3 a szerel\u0151n\u00e9l volt."),
        (
            "El tudn\u00e1d magyar\u00e1zni, hogyan kell j\u00f3 s\u00fctem\u00e9nyt s\u00fctni"
            " toj\u00e1s n\u00e9lk\u00fcl?"
        ),
    ],
    "ro": [
        "Ieri am mers cu trenul la Cluj pentru c\u0103 ma\u0219ina era la reparat.",
        (
            "Po\u021bi s\u0103-mi explici cum se face o pr\u0103jitur\u0103 bun\u0103 f\u0103r"
            "\u0103 ou\u0103?"
        ),
    ],
    "tr": [
        "D\u00fcn araba tamirde oldu\u011fu i\u00e7in trenle Ankara'ya gittik.",
        (
            "Bana yumurtas\u0131z g\u00fczel bir kekin nas\u0131l yap\u0131ld\u0131\u011f\u0131"
            "n\u0131 anlatabilir misin?"
        ),
    ],
    "id": [
        "Kemarin kami naik kereta api ke Bandung karena mobilnya sedang diperbaiki.",
        "Bisakah kamu menjelaskan cara membuat kue yang enak tanpa telur?",
    ],
    "vi": [
        (
            "H\u00f4m qua ch\u00fang t\u00f4i \u0111i t\u00e0u h\u1ecfa \u0111\u1ebfn Hu\u1ebf "
            "v\u00ec xe \u00f4 t\u00f4 \u0111ang s\u1eeda."
        ),
        (
            "B\u1ea1n c\u00f3 th\u1ec3 gi\u1ea3i th\u00edch cho t\u00f4i c\u00e1ch l\u00e0m m"
            "\u1ed9t chi\u1ebfc b\u00e1nh ngon kh\u00f4ng c\u1ea7n tr\u1ee9ng kh\u00f4ng?"
        ),
    ],
    "ru": [
        (
            "\u0412\u0447\u0435\u0440\u0430 \u043c\u044b \u043f\u043e\u0435\u0445\u0430\u043b"
            "\u0438 \u043d\u0430 \u043f\u043e\u0435\u0437\u0434\u0435 \u0432 \u041a\u0430\u0437"
            "\u0430\u043d\u044c, \u043f\u043e\u0442\u043e\u043c\u0443 \u0447\u0442\u043e \u043c"
            "\u0430\u0448\u0438\u043d\u0430 \u0431\u044b\u043b\u0430 \u0432 \u0440\u0435\u043c"
            "\u043e\u043d\u0442\u0435."
        ),
        (
            "\u041c\u043e\u0436\u0435\u0448\u044c \u043e\u0431\u044a\u044f\u0441\u043d\u0438"
            "\u0442\u044c \u043c\u043d\u0435, \u043a\u0430\u043a \u0438\u0441\u043f\u0435\u0447"
            "\u044c \u0432\u043a\u0443\u0441\u043d\u044b\u0439 \u043f\u0438\u0440\u043e\u0433 "
            "\u0431\u0435\u0437 \u044f\u0438\u0446?"
        ),
    ],
    "uk": [
        (
            "\u0412\u0447\u043e\u0440\u0430 \u043c\u0438 \u043f\u043e\u0457\u0445\u0430\u043b"
            "\u0438 \u043f\u043e\u0442\u044f\u0433\u043e\u043c \u0434\u043e \u041b\u044c\u0432"
            "\u043e\u0432\u0430, \u0431\u043e \u0430\u0432\u0442\u043e \u0431\u0443\u043b\u043e"
            " \u0432 \u0440\u0435\u043c\u043e\u043d\u0442\u0456."
        ),
    ],
    "el": [
        (
            "\u03a7\u03b8\u03b5\u03c2 \u03c0\u03ae\u03b3\u03b1\u03bc\u03b5 \u03bc\u03b5 \u03c4"
            "\u03bf \u03c4\u03c1\u03ad\u03bd\u03bf \u03c3\u03c4\u03b7 \u0398\u03b5\u03c3\u03c3"
            "\u03b1\u03bb\u03bf\u03bd\u03af\u03ba\u03b7 \u03b3\u03b9\u03b1\u03c4\u03af \u03c4"
            "\u03bf \u03b1\u03c5\u03c4\u03bf\u03ba\u03af\u03bd\u03b7\u03c4\u03bf \u03ae\u03c4"
            "\u03b1\u03bd \u03c7\u03b1\u03bb\u03b1\u03c3\u03bc\u03ad\u03bd\u03bf."
        ),
    ],
    "ar": [
        (
            "\u0630\u0647\u0628\u0646\u0627 \u0623\u0645\u0633 \u0628\u0627\u0644\u0642\u0637"
            "\u0627\u0631 \u0625\u0644\u0649 \u0627\u0644\u0625\u0633\u0643\u0646\u062f\u0631"
            "\u064a\u0629 \u0644\u0623\u0646 \u0627\u0644\u0633\u064a\u0627\u0631\u0629 \u0643"
            "\u0627\u0646\u062a \u0641\u064a \u0627\u0644\u0648\u0631\u0634\u0629."
        ),
    ],
    "he": [
        (
            "\u05d0\u05ea\u05de\u05d5\u05dc \u05e0\u05e1\u05e2\u05e0\u05d5 \u05d1\u05e8\u05db"
            "\u05d1\u05ea \u05dc\u05d7\u05d9\u05e4\u05d4 \u05db\u05d9 \u05d4\u05de\u05db\u05d5"
            "\u05e0\u05d9\u05ea \u05d4\u05d9\u05d9\u05ea\u05d4 \u05d1\u05de\u05d5\u05e1\u05da."
        ),
    ],
    "hi": [
        (
            "\u0915\u0932 \u0939\u092e \u091f\u094d\u0930\u0947\u0928 \u0938\u0947 \u0926\u093f"
            "\u0932\u094d\u0932\u0940 \u0917\u090f \u0915\u094d\u092f\u094b\u0902\u0915\u093f "
            "\u0917\u093e\u0921\u093c\u0940 \u0916\u0930\u093e\u092c \u0925\u0940\u0964"
        ),
    ],
    "zh": [
        (
            "\u56e0\u4e3a\u6c7d\u8f66\u9001\u53bb\u4fee\u7406\u4e86\uff0c\u6240\u4ee5\u6211"
            "\u4eec\u6628\u5929\u5750\u706b\u8f66\u53bb\u4e86\u5357\u4eac\u3002"
        ),
        (
            "\u4f60\u80fd\u544a\u8bc9\u6211\u4e0d\u7528\u9e21\u86cb\u600e\u4e48\u505a\u4e00"
            "\u4e2a\u597d\u5403\u7684\u86cb\u7cd5\u5417\uff1f"
        ),
    ],
    "ja": [
        (
            "\u8eca\u304c\u4fee\u7406\u4e2d\u3060\u3063\u305f\u306e\u3067\u3001\u6628\u65e5"
            "\u306f\u96fb\u8eca\u3067\u4eac\u90fd\u3078\u884c\u304d\u307e\u3057\u305f\u3002"
        ),
    ],
    "ko": [
        (
            "\uc790\ub3d9\ucc28\uac00 \uc218\ub9ac \uc911\uc774\ub77c\uc11c \uc5b4\uc81c \uc6b0"
            "\ub9ac\ub294 \uae30\ucc28\ub97c \ud0c0\uace0 \ubd80\uc0b0\uc5d0 \uac14\uc2b5\ub2c8"
            "\ub2e4."
        ),
    ],
    "th": [
        (
            "\u0e40\u0e21\u0e37\u0e48\u0e2d\u0e27\u0e32\u0e19\u0e40\u0e23\u0e32\u0e19\u0e31"
            "\u0e48\u0e07\u0e23\u0e16\u0e44\u0e1f\u0e44\u0e1b\u0e40\u0e0a\u0e35\u0e22\u0e07"
            "\u0e43\u0e2b\u0e21\u0e48\u0e40\u0e1e\u0e23\u0e32\u0e30\u0e23\u0e16\u0e22\u0e19"
            "\u0e15\u0e4c\u0e40\u0e2a\u0e35\u0e22"
        ),
    ],
    "la": [
        "Heri Romam iter fecimus quod equi nostri aegroti erant et carrus fractus est.",
    ],
    "sw": [
        "Jana tulisafiri kwa treni kwenda Mombasa kwa sababu gari lilikuwa kwenye karakana.",
    ],
}
