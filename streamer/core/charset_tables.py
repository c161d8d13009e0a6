"""Where MySQL's character sets differ from Python's codecs, byte for byte.

Read off MySQL 9.7 by converting every code with CONVERT(… USING utf32); `test_charsets` compares all of them with a server again.
"""

UNDEFINED = "\ufffe"  # marks a byte that stands for nothing, as Python's charmap codecs do

# Character set → its characters 0x80-0xff; below, they are ASCII.
HIGH = {
    "armscii8": (
        "\u0080\u0081\u0082\u0083\u0084\u0085\u0086\u0087\u0088\u0089\u008a\u008b\u008c\u008d\u008e\u008f"
        "\u0090\u0091\u0092\u0093\u0094\u0095\u0096\u0097\u0098\u0099\u009a\u009b\u009c\u009d\u009e\u009f"
        "\u00a0\u2741\u00a7\u0589)(\u00bb\u00ab\u2014.\u055d,-\u055f\u2026\u055c"
        "\u055b\u055e\u0531\u0561\u0532\u0562\u0533\u0563\u0534\u0564\u0535\u0565\u0536\u0566\u0537\u0567"
        "\u0538\u0568\u0539\u0569\u053a\u056a\u053b\u056b\u053c\u056c\u053d\u056d\u053e\u056e\u053f\u056f"
        "\u0540\u0570\u0541\u0571\u0542\u0572\u0543\u0573\u0544\u0574\u0545\u0575\u0546\u0576\u0547\u0577"
        "\u0548\u0578\u0549\u0579\u054a\u057a\u054b\u057b\u054c\u057c\u054d\u057d\u054e\u057e\u054f\u057f"
        "\u0550\u0580\u0551\u0581\u0552\u0582\u0553\u0583\u0554\u0584\u0555\u0585\u0556\u0586\u2019'"
    ),
    "dec8": (
        "\u0080\u0081\u0082\u0083\u0084\u0085\u0086\u0087\u0088\u0089\u008a\u008b\u008c\u008d\u008e\u008f"
        "\u0090\u0091\u0092\u0093\u0094\u0095\u0096\u0097\u0098\u0099\u009a\u009b\u009c\u009d\u009e\u009f"
        "\u00a0\u00a1\u00a2\u00a3\ufffe\u00a5\ufffe\u00a7\u00a4\u00a9\u00aa\u00ab\ufffe\ufffe\ufffe\ufffe"
        "\u00b0\u00b1\u00b2\u00b3\ufffe\u00b5\u00b6\u00b7\ufffe\u00b9\u00ba\u00bb\u00bc\u00bd\ufffe\u00bf"
        "\u00c0\u00c1\u00c2\u00c3\u00c4\u00c5\u00c6\u00c7\u00c8\u00c9\u00ca\u00cb\u00cc\u00cd\u00ce\u00cf"
        "\ufffe\u00d1\u00d2\u00d3\u00d4\u00d5\u00d6\u0152\u00d8\u00d9\u00da\u00db\u00dc\u0178\ufffe\u00df"
        "\u00e0\u00e1\u00e2\u00e3\u00e4\u00e5\u00e6\u00e7\u00e8\u00e9\u00ea\u00eb\u00ec\u00ed\u00ee\u00ef"
        "\ufffe\u00f1\u00f2\u00f3\u00f4\u00f5\u00f6\u0153\u00f8\u00f9\u00fa\u00fb\u00fc\u00ff\ufffe\ufffe"
    ),
    "geostd8": (
        "\u20ac\ufffe\u201a\ufffe\u201e\u2026\u2020\u2021\ufffe\u2030\ufffe\u2039\ufffe\ufffe\ufffe\ufffe"
        "\ufffe\u2018\u2019\u201c\u201d\u2022\u2013\u2014\ufffe\ufffe\ufffe\u203a\ufffe\ufffe\ufffe\ufffe"
        "\u00a0\u00a1\u00a2\u00a3\u00a4\u00a5\u00a6\u00a7\u00a8\u00a9\u00aa\u00ab\u00ac\u00ad\u00ae\u00af"
        "\u00b0\u00b1\u00b2\u00b3\u00b4\u00b5\u00b6\u00b7\u00b8\u00b9\u00ba\u00bb\u00bc\u00bd\u00be\u00bf"
        "\u10d0\u10d1\u10d2\u10d3\u10d4\u10d5\u10d6\u10f1\u10d7\u10d8\u10d9\u10da\u10db\u10dc\u10f2\u10dd"
        "\u10de\u10df\u10e0\u10e1\u10e2\u10f3\u10e3\u10e4\u10e5\u10e6\u10e7\u10e8\u10e9\u10ea\u10eb\u10ec"
        "\u10ed\u10ee\u10f4\u10ef\u10f0\u10f5\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe"
        "\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\u2116\ufffe\ufffe"
    ),
    "hp8": (
        "\u0080\u0081\u0082\u0083\u0084\u0085\u0086\u0087\u0088\u0089\u008a\u008b\u008c\u008d\u008e\u008f"
        "\u0090\u0091\u0092\u0093\u0094\u0095\u0096\u0097\u0098\u0099\u009a\u009b\u009c\u009d\u009e\u009f"
        "\u00a0\u00c0\u00c2\u00c8\u00ca\u00cb\u00ce\u00cf\u00b4\u02cb\u02c6\u00a8\u02dc\u00d9\u00db\u20a4"
        "\u00af\u00dd\u00fd\u00b0\u00c7\u00e7\u00d1\u00f1\u00a1\u00bf\u00a4\u00a3\u00a5\u00a7\u0192\u00a2"
        "\u00e2\u00ea\u00f4\u00fb\u00e1\u00e9\u00f3\u00fa\u00e0\u00e8\u00f2\u00f9\u00e4\u00eb\u00f6\u00fc"
        "\u00c5\u00ee\u00d8\u00c6\u00e5\u00ed\u00f8\u00e6\u00c4\u00ec\u00d6\u00dc\u00c9\u00ef\u00df\u00d4"
        "\u00c1\u00c3\u00e3\u00d0\u00f0\u00cd\u00cc\u00d3\u00d2\u00d5\u00f5\u0160\u0161\u00da\u0178\u00ff"
        "\u00de\u00fe\u00b7\u00b5\u00b6\u00be\u2014\u00bc\u00bd\u00aa\u00ba\u00ab\u25a0\u00bb\u00b1\ufffe"
    ),
    "keybcs2": (
        "\u010c\u00fc\u00e9\u010f\u00e4\u010e\u0164\u010d\u011b\u011a\u0139\u00cd\u013e\u013a\u00c4\u00c1"
        "\u00c9\u017e\u017d\u00f4\u00f6\u00d3\u016f\u00da\u00fd\u00d6\u00dc\u0160\u013d\u00dd\u0158\u0165"
        "\u00e1\u00ed\u00f3\u00fa\u0148\u0147\u016e\u00d4\u0161\u0159\u0155\u0154\u00bc\u00a1\u00ab\u00bb"
        "\u2591\u2592\u2593\u2502\u2524\u2561\u2562\u2556\u2555\u2563\u2551\u2557\u255d\u255c\u255b\u2510"
        "\u2514\u2534\u252c\u251c\u2500\u253c\u255e\u255f\u255a\u2554\u2569\u2566\u2560\u2550\u256c\u2567"
        "\u2568\u2564\u2565\u2559\u2558\u2552\u2553\u256b\u256a\u2518\u250c\u2588\u2584\u258c\u2590\u2580"
        "\u03b1\u00df\u0393\u03c0\u03a3\u03c3\u00b5\u03c4\u03a6\u0398\u03a9\u03b4\u221e\u03c6\u03b5\u2229"
        "\u2261\u00b1\u2265\u2264\u2320\u2321\u00f7\u2248\u00b0\u2219\u00b7\u221a\u207f\u00b2\u25a0\u00a0"
    ),
}

# Character set → (Python codec, the bytes it reads otherwise than MySQL).
SINGLE: dict[str, tuple[str, dict[int, str]]] = {
    "ascii": ("ascii", {}),
    "cp1250": ("cp1250", {}),
    "cp1251": ("cp1251", {}),
    "cp1256": (
        "cp1256",
        {
            0x8A: UNDEFINED,
            0x8F: UNDEFINED,
            0x98: UNDEFINED,
            0x9A: UNDEFINED,
            0x9F: UNDEFINED,
            0xAA: UNDEFINED,
            0xC0: UNDEFINED,
            0xFF: UNDEFINED,
        },
    ),
    "cp1257": ("cp1257", {}),
    "cp850": ("cp850", {}),
    "cp852": ("cp852", {}),
    "cp866": ("cp866", {0xFC: "\u207f", 0xFD: "\u00b2"}),
    "greek": ("iso8859_7", {0xA1: "\u02bd", 0xA2: "\u02bc", 0xA4: UNDEFINED, 0xA5: UNDEFINED, 0xAA: UNDEFINED}),
    "hebrew": ("iso8859_8", {0xAF: "\u203e"}),
    "koi8r": ("koi8_r", {}),
    "koi8u": ("koi8_u", {0x95: "\u2022"}),
    "latin1": ("cp1252", {0x81: "\u0081", 0x8D: "\u008d", 0x8F: "\u008f", 0x90: "\u0090", 0x9D: "\u009d"}),
    "latin2": ("iso8859_2", {}),
    "latin5": ("iso8859_9", {}),
    "latin7": ("iso8859_13", {}),
    "macce": ("mac_latin2", {}),
    "macroman": ("mac_roman", {}),
    "tis620": ("tis_620", {}),
    "swe7": (
        "ascii",
        {
            0x40: "\u00c9",
            0x5B: "\u00c4",
            0x5C: "\u00d6",
            0x5D: "\u00c5",
            0x5E: "\u00dc",
            0x60: "\u00e9",
            0x7B: "\u00e4",
            0x7C: "\u00f6",
            0x7D: "\u00e5",
            0x7E: "\u00fc",
            0x7F: UNDEFINED,
        },
    ),
}

# Character set → (Python codec, how one character looks as a regular expression).
MULTI = {
    "big5": ("big5", rb"[\x00-\x7f]+|[\x81-\xfe]."),
    "cp932": ("cp932", rb"[\x00-\x7f\xa1-\xdf]+|[\x81-\x9f\xe0-\xfc]."),
    "eucjpms": ("euc_jp", rb"[\x00-\x7f]+|\x8f..|[\x8e\xa1-\xfe]."),
    "euckr": ("cp949", rb"[\x00-\x7f]+|[\x81-\xfe]."),
    "gb18030": ("gb18030", rb"[\x00-\x7f]+|[\x81-\xfe][0-9]..|[\x81-\xfe]."),
    "gb2312": ("gb2312", rb"[\x00-\x7f]+|[\xa1-\xf7]."),
    "gbk": ("gbk", rb"[\x00-\x7f]+|[\x81-\xfe]."),
    "sjis": ("shift_jis", rb"[\x00-\x7f\xa1-\xdf]+|[\x81-\x9f\xe0-\xfc]."),
    "ujis": ("euc_jp", rb"[\x00-\x7f]+|\x8f..|[\x8e\xa1-\xfe]."),
}

# Character set → runs of codes that Python reads otherwise or not at all: (first code, the characters from there on).
RUNS: dict[str, tuple[tuple[int, str], ...]] = {
    "big5": (
        (0xA15A, UNDEFINED),
        (0xA1C3, UNDEFINED),
        (0xA1C5, UNDEFINED),
        (0xA1FE, UNDEFINED),
        (0xA240, UNDEFINED),
        (0xA2CC, UNDEFINED),
        (0xA2CE, UNDEFINED),
        (0xF9D6, "\u7881\u92b9\u88cf\u58bb\u6052\u7ca7\u5afa"),
    ),
    "cp932": (
        (0x80, UNDEFINED),
        (0xA0, UNDEFINED),
        (0xFD, "\ufffe\ufffe\ufffe"),
    ),
    "eucjpms": (
        (0xA1C1, "\uff5e\u2225"),
        (0xA1DD, "\uff0d"),
        (0xA1F1, "\uffe0\uffe1"),
        (0xA2CC, "\uffe2"),
        (
            0xADA1,
            "\u2460\u2461\u2462\u2463\u2464\u2465\u2466\u2467\u2468\u2469\u246a\u246b\u246c\u246d\u246e\u246f"
            "\u2470\u2471\u2472\u2473\u2160\u2161\u2162\u2163\u2164\u2165\u2166\u2167\u2168\u2169",
        ),
        (
            0xADC0,
            "\u3349\u3314\u3322\u334d\u3318\u3327\u3303\u3336\u3351\u3357\u330d\u3326\u3323\u332b\u334a\u333b"
            "\u339c\u339d\u339e\u338e\u338f\u33c4\u33a1",
        ),
        (
            0xADDF,
            "\u337b\u301d\u301f\u2116\u33cd\u2121\u32a4\u32a5\u32a6\u32a7\u32a8\u3231\u3232\u3239\u337e\u337d"
            "\u337c\u2252\u2261\u222b\u222e\u2211\u221a\u22a5\u2220\u221f\u22bf\u2235\u2229\u222a",
        ),
        (0x8FA2B7, "\uff5e"),
        (0x8FA2C3, "\uffe4"),
        (0x8FF3F3, "\u2170\u2171\u2172\u2173\u2174\u2175\u2176\u2177\u2178\u2179\u2160\u2161"),
        (
            0x8FF4A1,
            "\u2162\u2163\u2164\u2165\u2166\u2167\u2168\u2169\uff07\uff02\u3231\u2116\u2121\u70bb\u4efc\u50f4"
            "\u51ec\u5307\u5324\ufa0e\u548a\u5759\ufa0f\ufa10\u589e\u5bec\u5cf5\u5d53\ufa11\u5fb7\u6085\u6120"
            "\u654e\u663b\u6665\ufa12\uf929\u6801\ufa13\ufa14\u6a6b\u6ae2\u6df8\u6df2\u7028\ufa15\ufa16\u7501"
            "\u7682\u769e\ufa17\u7930\ufa18\ufa19\ufa1a\ufa1b\u7ae7\ufa1c\ufa1d\u7da0\u7dd6\ufa1e\u8362\ufa1f"
            "\u85b0\ufa20\ufa21\u8807\ufa22\u8b7f\u8cf4\u8d76\ufa23\ufa24\ufa25\u90de\ufa26\u9115\ufa27\ufa28"
            "\u9592\uf9dc\ufa29\u973b\u974d\u9751\ufa2a\ufa2b\ufa2c\u999e\u9ad9\u9b72\ufa2d\u9ed1",
        ),
    ),
    "gb18030": (
        (0xA8BC, "\u1e3f"),
        (0x8135F437, "\ue7c7"),
    ),
    "sjis": ((0x815F, "\\"),),
    "ujis": ((0xA1C0, "\\"),),
}

# Character sets whose rows 0xf5-0xfe and 0x8ff5-0x8ffe, 94 codes each from 0xa1, are the private use area from U+E000 in order.
PRIVATE_ROWS = ("eucjpms", "ujis")
