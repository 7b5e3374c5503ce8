"""Seeded records that read like a CRM's: names, industries, long texts, nulls, currencies, dates before 1970, ties.

Everything is vectorised and in wire text already (see ``store``): columns are strings, datetimes
``YYYY-MM-DDTHH:MM:SS.000Z``, numbers plain decimal digits without trailing zeros, booleans ``true`` and ``false``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from syncline.connectors.sandbox import catalog, words
from syncline.connectors.sandbox.clock import DAY_MS
from syncline.connectors.sandbox.identifiers import Serials, fixed_width_text, id_texts
from syncline.connectors.sandbox.schema import Field, ObjectType

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

YEARS_OF_HISTORY: Final = 12
_CENTS: Final = pa.array(["" if not n else f".{n:02d}".rstrip("0") for n in range(100)])


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a generator needs: the rows' serials, their stamps, a source of randomness and the other objects' sizes."""

    serials: Serials
    created_ms: Ints
    modified_ms: Ints
    stamp_ms: Ints
    random: np.random.Generator
    sizes: Mapping[str, int]
    prefixes: Mapping[str, str]

    @property
    def rows(self) -> int:
        return len(self.serials)

    def chance(self, share: float) -> Mask:
        return self.random.random(self.rows) < share

    def pick(self, pool: Sequence[str | None], null_share: float = 0.0) -> pa.Array:
        chosen = self.random.integers(0, len(pool), self.rows, dtype=np.int32)
        mask = self.chance(null_share) if null_share else None
        return pa.array(pool, pa.string()).take(pa.array(chosen, mask=mask))

    def reference(self, target: str, null_share: float = 0.0) -> pa.Array:
        """Ids of records of ``target`` that exist; null where it has none."""
        size = self.sizes.get(target, 0)
        if not size:
            return pa.nulls(self.rows, pa.string())
        ids = id_texts(self.prefixes[target], self.random.integers(1, size + 1, self.rows))
        return without(ids, self.chance(null_share)) if null_share else ids


def without(values: pa.Array, missing: Mask) -> pa.Array:
    """The same values with null where ``missing``."""
    return pc.if_else(pa.array(~missing), values, pa.scalar(None, values.type))


def join(*parts: pa.Array | str) -> pa.Array:
    """The texts side by side; null when any is null."""
    return pc.binary_join_element_wise(*parts, "")


def _put_digits(chars: npt.NDArray[np.uint8], start: int, width: int, values: Ints) -> None:
    rest = values
    for place in range(start + width - 1, start - 1, -1):
        chars[:, place] = rest % 10 + ord("0")
        rest = rest // 10


def _put_date(chars: npt.NDArray[np.uint8], days: Ints) -> None:
    moments = days.astype("datetime64[D]")
    months = moments.astype("datetime64[M]")
    count = months.astype(np.int64)
    _put_digits(chars, 0, 4, count // 12 + 1970)
    _put_digits(chars, 5, 2, count % 12 + 1)
    _put_digits(chars, 8, 2, (moments - months.astype("datetime64[D]")).astype(np.int64) + 1)


def date_texts(days: Ints) -> pa.Array:
    """``YYYY-MM-DD`` of days since 1970 (negative before)."""
    chars = np.full((len(days), 10), ord("-"), np.uint8)
    _put_date(chars, days)
    return fixed_width_text(chars)


def datetime_texts(at_ms: Ints) -> pa.Array:
    """``YYYY-MM-DDTHH:MM:SS.mmmZ`` of milliseconds since 1970."""
    chars = np.empty((len(at_ms), 24), np.uint8)
    chars[:] = np.frombuffer(b"0000-00-00T00:00:00.000Z", np.uint8)
    _put_date(chars, at_ms // DAY_MS)
    of_day = at_ms % DAY_MS
    _put_digits(chars, 11, 2, of_day // 3_600_000)
    _put_digits(chars, 14, 2, of_day // 60_000 % 60)
    _put_digits(chars, 17, 2, of_day // 1000 % 60)
    _put_digits(chars, 20, 3, of_day % 1000)
    return fixed_width_text(chars)


def hundredths_texts(hundredths: Ints) -> pa.Array:
    """Plain decimal text of an integer number of hundredths: ``12.5``, ``-3``, ``0.07``."""
    size = np.abs(hundredths)
    sign = pa.array(["", "-"]).take(pa.array((hundredths < 0).astype(np.int8)))
    return join(sign, pa.array(size // 100).cast(pa.string()), _CENTS.take(pa.array(size % 100)))


def int_texts(values: Ints) -> pa.Array:
    return pa.array(values).cast(pa.string())


def _booleans(values: Mask) -> pa.Array:
    return pa.array(["false", "true"]).take(pa.array(values.astype(np.int8)))


def _digits(recipe: Recipe, shape: str) -> pa.Array:
    """``shape`` with each ``#`` a random digit."""
    template = np.frombuffer(shape.encode(), np.uint8)
    chars = np.empty((recipe.rows, len(template)), np.uint8)
    chars[:] = template
    holes = np.flatnonzero(template == ord("#"))
    chars[:, holes] = recipe.random.integers(ord("0"), ord("9") + 1, (recipe.rows, len(holes)), dtype=np.uint8)
    return fixed_width_text(chars)


def _prose(recipe: Recipe, null_share: float) -> pa.Array:
    first, second = recipe.pick(words.SENTENCES, null_share), recipe.pick(words.SENTENCES)
    short = join(first, " ", second)
    return pc.if_else(pa.array(recipe.chance(0.3)), join(short, "\n", recipe.pick(words.SENTENCES)), short)


def _stamps(recipe: Recipe) -> dict[str, pa.Array]:
    return {
        "Id": None, "CreatedDate": datetime_texts(recipe.created_ms),
        "LastModifiedDate": datetime_texts(recipe.modified_ms), "SystemModstamp": datetime_texts(recipe.stamp_ms),
        "IsDeleted": pa.repeat(pa.scalar("false"), recipe.rows), "OwnerId": recipe.reference("User"),
        "MasterRecordId": pa.nulls(recipe.rows, pa.string()),
    }  # fmt: skip


def _account(recipe: Recipe) -> dict[str, pa.Array]:
    random, rows = recipe.random, recipe.rows
    head, tail = recipe.pick(words.COMPANY_HEADS), recipe.pick(words.COMPANY_TAILS)
    place = random.integers(0, len(words.PLACES), rows, dtype=np.int32)
    nowhere = recipe.chance(0.08)
    cities, states, countries = (pa.array(column, pa.string()) for column in zip(*words.PLACES, strict=True))
    at = pa.array(place, mask=nowhere)
    revenue = np.minimum(random.lognormal(16.2, 2.0, rows), 9e13).astype(np.int64) // 100 * 100
    staff = np.maximum(random.lognormal(4.0, 1.6, rows), 1).astype(np.int64)
    no_revenue, no_staff = recipe.chance(0.2), recipe.chance(0.15)
    house = int_texts(random.integers(1, 999, rows))
    street = join(house, " ", recipe.pick(words.STREETS), " ", recipe.pick(words.STREET_KINDS),
                  recipe.pick(words.SUITES))  # fmt: skip
    founded = random.integers(-36_500, 18_000, rows)
    return {
        "Name": join(head, " ", tail, recipe.pick(words.COMPANY_FORMS)),
        "Type": recipe.pick(catalog.ACCOUNT_TYPES, 0.1), "Industry": recipe.pick(catalog.INDUSTRIES, 0.12),
        "BillingStreet": without(street, nowhere), "BillingCity": cities.take(at), "BillingState": states.take(at),
        "BillingPostalCode": without(_digits(recipe, "#####"), nowhere), "BillingCountry": countries.take(at),
        "Phone": without(_digits(recipe, "+1 (###) 555-####"), recipe.chance(0.1)),
        "AccountNumber": _digits(recipe, "AC-#######"),
        "Website": without(join("https://www.", pc.ascii_lower(head), pc.ascii_lower(tail), ".example"),
                           recipe.chance(0.2)),
        "AnnualRevenue": without(int_texts(revenue), no_revenue),
        "NumberOfEmployees": without(int_texts(staff), no_staff), "Rating": recipe.pick(catalog.RATINGS, 0.4),
        "Description": _prose(recipe, 0.2),
        "Score__c": without(hundredths_texts(random.integers(-5_000, 10_000, rows)), recipe.chance(0.25)),
        "Founded__c": without(date_texts(founded), recipe.chance(0.3)),
        "RevenuePerEmployee__c": without(hundredths_texts(revenue * 100 // staff), no_revenue | no_staff),
    }  # fmt: skip


def _contact(recipe: Recipe) -> dict[str, pa.Array]:
    random, rows = recipe.random, recipe.rows
    first, last = recipe.pick(words.FIRST_NAMES, 0.03), recipe.pick(words.LAST_NAMES)
    place = pa.array(random.integers(0, len(words.PLACES), rows, dtype=np.int32))
    cities, _, countries = (pa.array(column, pa.string()) for column in zip(*words.PLACES, strict=True))
    mail = join("person", int_texts(recipe.serials), "@", pc.ascii_lower(recipe.pick(words.COMPANY_HEADS)), ".example")
    return {
        "AccountId": recipe.reference("Account", 0.05), "FirstName": first, "LastName": last,
        "Salutation": recipe.pick(catalog.SALUTATIONS, 0.4), "Name": pc.coalesce(join(first, " ", last), last),
        "MailingCity": cities.take(place), "MailingCountry": countries.take(place),
        "Phone": without(_digits(recipe, "+1 (###) 555-####"), recipe.chance(0.25)),
        "Email": without(mail, recipe.chance(0.1)), "Title": recipe.pick(words.TITLES, 0.2),
        "Department": recipe.pick(words.DEPARTMENTS, 0.3), "LeadSource": recipe.pick(catalog.LEAD_SOURCES, 0.4),
        "Birthdate": without(date_texts(random.integers(-16_000, 13_000, rows)), recipe.chance(0.5)),
        "HasOptedOutOfEmail": _booleans(recipe.chance(0.1)), "Description": _prose(recipe, 0.6),
    }  # fmt: skip


def _opportunity(recipe: Recipe) -> dict[str, pa.Array]:
    random, rows = recipe.random, recipe.rows
    stage = random.integers(0, len(catalog.STAGES), rows, dtype=np.int32)
    won, lost = stage == 8, stage == 9
    probability = np.array([10, 10, 20, 50, 60, 70, 75, 90, 100, 0])[stage]
    amount = np.minimum(random.lognormal(14.5, 1.8, rows), 9e13).astype(np.int64)
    no_amount = recipe.chance(0.1)
    close = recipe.created_ms // DAY_MS + random.integers(5, 200, rows)
    name = join(recipe.pick(words.COMPANY_HEADS), " ", recipe.pick(words.COMPANY_TAILS), " \u2013 ",
                recipe.pick(words.PRODUCTS))  # fmt: skip
    return {
        "AccountId": recipe.reference("Account", 0.02), "Name": name,
        "StageName": pa.array(catalog.STAGES).take(pa.array(stage)),
        "Amount": without(hundredths_texts(amount), no_amount), "Probability": int_texts(probability),
        "ExpectedRevenue": without(hundredths_texts(amount // 100 * probability), no_amount),
        "TotalOpportunityQuantity": without(int_texts(random.integers(1, 500, rows)), recipe.chance(0.6)),
        "CloseDate": date_texts(close), "NextStep": recipe.pick(words.NEXT_STEPS, 0.5),
        "LeadSource": recipe.pick(catalog.LEAD_SOURCES, 0.4), "IsClosed": _booleans(won | lost),
        "IsWon": _booleans(won), "ForecastCategory": recipe.pick(catalog.FORECASTS),
        "Description": _prose(recipe, 0.5),
    }  # fmt: skip


def _user(recipe: Recipe) -> dict[str, pa.Array]:
    first, last = recipe.pick(words.FIRST_NAMES), recipe.pick(words.LAST_NAMES)
    login = join("user", int_texts(recipe.serials), "@sandbox.example")
    return {
        "Username": login, "Email": login, "FirstName": first, "LastName": last, "Name": join(first, " ", last),
        "IsActive": _booleans(recipe.chance(0.9)),
    }  # fmt: skip


def _any_value(kind: Field, recipe: Recipe) -> pa.Array:
    """Something fitting for a field no generator knows, by its type."""
    random, rows = recipe.random, recipe.rows
    match kind.type:
        case "boolean":
            return _booleans(recipe.chance(0.5))
        case "int" | "long":
            return without(int_texts(random.integers(-1_000, 100_000, rows)), recipe.chance(0.1))
        case "double" | "currency" | "percent":
            return without(hundredths_texts(random.integers(-9_900, 9_900, rows)), recipe.chance(0.1))
        case "date":
            return without(date_texts(random.integers(-30_000, 25_000, rows)), recipe.chance(0.1))
        case "datetime":
            return datetime_texts(recipe.created_ms)
        case "time":
            clock = datetime_texts(random.integers(0, 86_400, rows) * 1000)
            return without(pc.binary_slice(clock.cast(pa.binary()), 11, 24).cast(pa.string()), recipe.chance(0.1))
        case "reference":
            return recipe.reference(kind.reference_to[0] if kind.reference_to else "", 0.1)
        case "multipicklist":
            return recipe.pick(("red", "red;blue", "green;blue", "red;green;blue"), 0.2)
        case "anyType":
            return recipe.pick(("12", "3.5", "true", "plain text", "2024-01-15"), 0.2)
        case "textarea" if kind.long_text:
            return _prose(recipe, 0.3)
        case _:
            pool = kind.picklist or words.COMPANY_TAILS
            return recipe.pick(pool, 0.1 if kind.nillable else 0.0)


_SPECIAL: Final[Mapping[str, Callable[[Recipe], dict[str, pa.Array]]]] = {
    "Account": _account, "Contact": _contact, "Opportunity": _opportunity, "User": _user,
}  # fmt: skip


def draw_stamps(serials: Serials, size: int, random: np.random.Generator, now_ms: int) -> tuple[Ints, Ints, Ints]:
    """CreatedDate, LastModifiedDate and SystemModstamp, whole seconds, rising with the serial, with bulk-load ties."""
    rows = len(serials)
    span_s = YEARS_OF_HISTORY * 365 * 86_400
    last_s = now_ms // 1000 - 3600
    created = last_s - span_s + (serials * (span_s / (size + 1))).astype(np.int64)
    loaded = random.random(rows) < 0.1
    created[loaded] = created[loaded] // (30 * 86_400) * (30 * 86_400) + 7200
    modified = np.minimum(created + random.exponential(200 * 86_400, rows).astype(np.int64), last_s)
    touched = random.random(rows) < 0.03
    stamp = np.where(touched, np.minimum(modified + random.integers(1, 9_000_000, rows), last_s), modified)
    return created * 1000, modified * 1000, stamp * 1000


def generate(kind: ObjectType, recipe: Recipe) -> dict[str, pa.Array]:
    """Every stored column of ``kind`` for the recipe's rows."""
    known = _stamps(recipe) | {"Id": id_texts(kind.key_prefix, recipe.serials)}
    special = _SPECIAL.get(kind.name)
    if special is not None:
        known |= special(recipe)
    columns: dict[str, pa.Array] = {}
    for name, found in kind.fields.items():
        if not found.stored or found.type == "base64":
            continue
        columns[name] = known[name] if name in known else _any_value(found, recipe)
    return columns
