"""Names that their surroundings give away: titles, introductions, fields of forms, signatures, kinds of companies.

For the scanner's child, and cheap: they find the plainest names where no model is loaded. The others are
``names.py``'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from app.gate.records import Finding

_CAPITAL: Final = r"[^\W\d_a-zß-öø-ÿ]"
_WORD: Final = rf"{_CAPITAL}[^\W\d_]*(?:['’-]{_CAPITAL}?[^\W\d_]+)*"
_PARTICLE: Final = r"(?:v[ao]n|de[rnl]?|della|di|da|dos|ten|ter|bin|al|la|le|el|zu|af)"
_NAME: Final = rf"{_WORD}(?:[ ]{{1,2}}(?:{_CAPITAL}\.|{_PARTICLE}(?:[ ]{_PARTICLE})?[ ]{_WORD}|{_WORD})){{0,3}}"
_TITLE: Final = (
    r"(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Sir|Dame|Herrn?|Frau|Hr|Fr|Monsieur|Madame|Mme|Mlle|Señora?|Sra?|Dña|Don"
    r"|Signora?|Sig|Dott|Pan|Pani|Dhr|Mevr|Mw|Doktor|Ing|Mag|Rev|Fr)"
)
_COMPANY: Final = (
    r"(?:Inc|LLC|L\.L\.C|Ltd|Limited|PLC|plc|LLP|LP|Corp|Corporation|GmbH(?: & Co\. ?KG)?|AG|KG|OHG|UG|e\.V|SE|S\.A|SA"
    r"|SAS|SARL|S\.r\.l|Srl|S\.p\.A|SpA|S\.L|B\.V|BV|N\.V|NV|AB|ApS|A/S|AS|Oyj?|Kft|Zrt|s\.r\.o|a\.s|Sp\. z o\.o"
    r"|Pty Ltd|Group|Holdings?|Technologies|Foundation|Consulting|Partners|Associates|University|Institute|Bank)"
)
_FIELD: Final = r"(?:Name|Patient|Client|Customer|Contact|Employee|Tenant|Attn|Vorname|Nachname|Nom)"
_FAREWELL: Final = r"(?:[Rr]egards|[Ss]incerely|[Cc]heers|[Yy]ours|[Gg]rüßen?|[Gg]ruß|[Cc]ordialement|[Ss]aludos)"
_CALLED: Final = r"(?:[Mm]y name is|[Mm]y name's|[Ii]ch hei(?:ß|ss)e|[Jj]e m'appelle|[Mm]e llamo|[Mm]i chiamo)"
_FORMS: Final = (
    ("PERSON", rf"\b{_TITLE}\b\.?[ ](?:{_TITLE}\b\.?[ ])?({_NAME})"),
    ("PERSON", rf"\b{_CALLED}[ ]({_NAME})"),
    ("PERSON", rf"(?m:^[ \t]*(?:Full |First |Last |Sur)?[Nn]ame(?:[ ]of[ ]\w+)?[ ]*:[ \t]*({_NAME})[ \t]*$)"),
    ("PERSON", rf"(?m:^[ \t]*{_FIELD}[ ]*:[ \t]*({_NAME}))"),
    ("PERSON", rf"{_FAREWELL}[^\n]{{0,12}},?\s*\n\s*({_NAME})"),
    ("PERSON", rf"\b(?:Dear|Hi|Hello|Liebe[r]?|Cher|Chère|Estimad[ao])[ ]({_NAME})(?=[ ]*[,!\n])"),
    ("ORGANISATION", rf"({_WORD}(?:(?:[ ]|[ ]?&[ ]?){_WORD}){{0,4}},?[ ]{_COMPANY}\b)"),
)
_NOT_FIRST: Final = frozenset(("The", "A", "An", "This", "Our", "Your", "My", "All", "Sir", "Madam", "Team", "There"))
_NOT_ALONE: Final = frozenset(("World", "Everyone", "Colleagues", "Customer"))


def find(text: str) -> Iterator[Finding]:
    """The names in ``text`` that something beside them announces."""
    for kind, expression in _compiled():
        for match in expression.finditer(text):
            if match[1] not in _NOT_ALONE and match[1].partition(" ")[0] not in _NOT_FIRST:
                yield Finding(kind, match.start(1), match.end(1), match[1], "pattern", 0.6)


@cache
def _compiled() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((kind, re.compile(expression)) for kind, expression in _FORMS)
