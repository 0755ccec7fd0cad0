"""Made-up receipts and the schema to read them by: documents whose values stand in the text word for word."""

from __future__ import annotations

import json
import random

from engine.llama.constrain import Constraint

FIELDS = ("company", "date", "address", "total")
SCHEMA = {
    "type": "object",
    "properties": {name: {"type": ["string", "null"], "maxLength": 40} for name in FIELDS},
    "required": list(FIELDS),
    "additionalProperties": False,
}
CONSTRAINT = Constraint("json_schema", json.dumps(SCHEMA))
TASK = (
    "Extract company, date, address and total from the receipt as JSON, copied verbatim. "
    "Return an instance of the JSON, not the schema itself."
)
_COMPANIES = ("ACME TRADING SDN BHD", "Bäckerei Öhlmann GmbH", "Golden Wok Restaurant", "Northern Light Books Ltd")
_STREETS = ("12 Jalan Besar, 81100 Johor Bahru", "Hauptstraße 7, 50667 Köln", "4 Mill Lane, Leeds LS1 4AP")
_GOODS = ("Nasi lemak", "Brötchen 6x", "Teh tarik", "Paper A4", "Spring rolls", "Map of the coast")


def receipt(number: int) -> str:
    """The text of a receipt."""
    rng = random.Random(number)
    lines = [
        rng.choice(_COMPANIES),
        rng.choice(_STREETS),
        f"Date: {rng.randrange(1, 29):02}/{rng.randrange(1, 13):02}/2019",
    ]
    prices = [(rng.choice(_GOODS), rng.randrange(100, 9000)) for _ in range(rng.randrange(2, 6))]
    lines += [f"{name}  {cents / 100:.2f}" for name, cents in prices]
    lines.append(f"Total  {sum(cents for _, cents in prices) / 100:.2f}")
    return "\n".join(lines)


def prompt(number: int) -> str:
    """A chat that asks for the fields of a receipt, as the starter's template writes it."""
    turns = (("system", TASK), ("user", receipt(number)))
    return "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns) + "<|im_start|>assistant\n"
