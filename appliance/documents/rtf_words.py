"""Words of rich text: which stand for a sign, end a line, open another place on the page, or hold no text."""

SKIPPED = frozenset(
    b"fonttbl colortbl stylesheet info pict objdata themedata colorschememapping datastore latentstyles listtable"
    b" listoverridetable rsidtbl generator xmlnstbl fldinst filetbl revtbl nonshppict bkmkstart bkmkend objclass"
    b" objname pgptbl mmathPr moMath xe tc rxe txe pnseclvl template wgrffmtfilter sp sn sv private fname listpicture"
    b" ftnsep ftnsepc ftncn aftnsep aftnsepc aftncn atnid atrfstart atrfend atnref annotationdate".split()
)
STARRED_TEXT = frozenset(b"shpinst shptxt shppict annotation atnauthor ud do moMathPara".split())
"""Groups marked as skippable for old programs that hold text all the same."""
STREAMS = {b"header": "before", b"headerl": "before", b"headerr": "before", b"headerf": "before",
            b"footer": "after", b"footerl": "after", b"footerr": "after", b"footerf": "after",
            b"footnote": "after", b"atnauthor": "after", b"annotation": "after"}  # fmt: skip
SIGNS = {b"tab": "\t", b"line": "\n", b"lquote": "\u2018", b"rquote": "\u2019", b"ldblquote": "\u201c",
          b"rdblquote": "\u201d", b"bullet": "\u2022", b"emdash": "\u2014", b"endash": "\u2013", b"emspace": " ",
          b"enspace": " ", b"qmspace": " "}  # fmt: skip
SYMBOLS = {b"~": "\u00a0", b"_": "-", b"{": "{", b"}": "}", b"\\": "\\", b"\t": "\t"}
LINE_ENDS = frozenset((b"par", b"sect", b"page", b"column"))
UNREAD = {b"pict": "picture", b"objdata": "embedded object", b"moMath": "formula"}
