"""Records that change: stamps, late commits, deletes and their undoing, and a schema that moves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest

from syncline.connectors.sandbox import Field, Locked, ObjectType, Org
from syncline.connectors.sandbox.snapshot import arrow_type
from tests.sandbox.calling import START, Caller

DAY_S = 86_400


def stamps(call: Caller, record_id: str, verb: str = "query") -> tuple[str, str]:
    """LastModifiedDate and SystemModstamp, time of day only."""
    row = call.rows(f"SELECT LastModifiedDate, SystemModstamp FROM Account WHERE Id = '{record_id}'", verb)[0]
    return row["LastModifiedDate"][11:19], row["SystemModstamp"][11:19]


def test_user_system_and_silent_writes_move_different_stamps(org: Org, call: Caller) -> None:
    first = org.insert("Account")[0]
    assert stamps(call, first) == ("12:00:00", "12:00:00")
    org.advance(60)
    org.update("Account", [first], {"Name": "user"})
    assert stamps(call, first) == ("12:01:00", "12:01:00")
    org.advance(60)
    org.update("Account", [first], {"Name": "system"}, touch="system")
    assert stamps(call, first) == ("12:01:00", "12:02:00")
    org.advance(60)
    org.update("Account", [first], {"RevenuePerEmployee__c": "42"}, touch="none")
    assert stamps(call, first) == ("12:01:00", "12:02:00")
    assert call.rows(f"SELECT RevenuePerEmployee__c FROM Account WHERE Id = '{first}'")[0] == {
        "RevenuePerEmployee__c": 42.0
    }


def test_stamps_are_whole_seconds_unless_told_otherwise(org: Org, call: Caller) -> None:
    org.advance(0.75)
    whole = org.insert("Account")[0]
    org.settings.whole_seconds = False
    exact = org.insert("Account")[0]
    org.update("Account", [exact], {"Name": "x"})
    rows = call.rows(f"SELECT Id, CreatedDate, SystemModstamp FROM Account WHERE Id IN ('{whole}', '{exact}')")
    found = {row["Id"]: row["SystemModstamp"][17:23] for row in rows}
    assert found == {whole: "00.000", exact: "00.750"}


def test_a_late_commit_shows_up_below_the_largest_stamp_read(org: Org, call: Caller) -> None:
    late = org.insert("Account", {"Name": "Late"}, visible_after_s=300)[0]
    changed = org.ids("Account", limit=1)
    org.update("Account", changed, {"Name": "Late too"}, visible_after_s=300)
    org.advance(60)
    org.insert("Account", {"Name": "On time"})
    seen = "SELECT Name FROM Account WHERE SystemModstamp >= 2026-01-15T12:00:00Z ORDER BY SystemModstamp"
    assert [row["Name"] for row in call.rows(seen)] == ["On time"]
    org.advance(240)
    assert sorted(row["Name"] for row in call.rows(seen)) == ["Late", "Late too", "On time"]
    assert stamps(call, late) == ("12:00:00", "12:00:00")


def test_transactions_are_seen_whole_or_not_at_all(org: Org) -> None:
    first, second = org.ids("Account", limit=2)
    transaction = org.begin()
    org.update("Account", [first], {"Name": "T"}, transaction=transaction)
    org.insert("Contact", {"LastName": "T"}, transaction=transaction)
    org.delete("Account", [second], transaction=transaction)

    def seen() -> tuple[int, int, int]:
        return org.count("Account", "Name = 'T'"), org.count("Contact", "LastName = 'T'"), org.count("Account")

    assert seen() == (0, 0, 300)
    with pytest.raises(Locked):
        org.update("Account", [first], {"Name": "other"})
    with pytest.raises(Locked):
        org.delete("Account", [first], visible_after_s=5)
    org.commit(transaction)
    assert seen() == (1, 1, 299)
    undone = org.begin()
    org.update("Account", [first], {"Name": "undone"}, transaction=undone)
    org.roll_back(undone)
    assert org.count("Account", "Name = 'undone'") == 0
    org.update("Account", [first], {"Name": "free again"})


def test_no_write_gets_in_between_a_transaction_and_its_commit(org: Org) -> None:
    """Else the record's stamps would go back when the transaction commits, which no org lets happen."""
    parent = org.insert("Account")[0]
    child = org.insert("Contact", {"AccountId": parent})[0]
    writes: list[Callable[[], object]] = [
        lambda: org.restamp("Contact"),
        lambda: org.delete("Account", [parent]),
        lambda: org.merge("Account", org.ids("Account", limit=1)[0], [parent]),
    ]
    org.update("Contact", [child], {"LastName": "late"}, visible_after_s=60)
    for write in writes:
        with pytest.raises(Locked):
            write()
    org.advance(60)
    org.delete("Account", [parent], visible_after_s=60)
    with pytest.raises(Locked):
        org.update("Contact", [child], {"LastName": "goes with its parent"})
    org.advance(60)
    org.undelete("Account", [parent])
    org.restamp("Contact")


def test_thousands_of_rows_share_one_stamp_after_a_mass_restamp(org: Org, call: Caller) -> None:
    org.insert("Account", count=3_000)
    org.advance(10)
    org.restamp("Account")
    assert call.count("SELECT COUNT() FROM Account WHERE SystemModstamp = 2026-01-15T12:00:10Z") == 3_300
    assert call.count("SELECT COUNT() FROM Account WHERE LastModifiedDate = 2026-01-15T12:00:10Z") == 0
    org.advance(10)
    org.restamp("Account", org.ids("Account", limit=5))
    assert call.count("SELECT COUNT() FROM Account WHERE SystemModstamp = 2026-01-15T12:00:20Z") == 5


def test_a_delete_takes_its_children_and_an_undelete_brings_them_back(org: Org) -> None:
    parent = org.insert("Account")[0]
    kept = org.insert("Contact", {"AccountId": parent}, count=3)
    org.delete("Contact", kept[:1])
    org.advance(60)
    org.delete("Account", [parent])
    assert org.count("Contact", f"AccountId = '{parent}'") == 0
    gone_with_it = f"AccountId = '{parent}' AND SystemModstamp = 2026-01-15T12:01:00Z"
    assert org.count("Contact", gone_with_it, include_deleted=True) == 2
    org.advance(60)
    org.undelete("Account", [parent])
    assert org.ids("Contact", f"AccountId = '{parent}'") == kept[1:]
    assert org.count("Account", f"Id = '{parent}' AND SystemModstamp = 2026-01-15T12:02:00Z") == 1
    with pytest.raises(ValueError, match="only deleted"):
        org.undelete("Account", [parent])


def test_a_cascade_may_leave_the_children_s_stamps_alone(org: Org) -> None:
    org.settings.cascade_stamps = False
    parent = org.insert("Account")[0]
    org.insert("Contact", {"AccountId": parent})
    org.advance(60)
    org.delete("Account", [parent])
    deleted = f"AccountId = '{parent}' AND IsDeleted = true AND SystemModstamp = 2026-01-15T12:00:00Z"
    assert org.count("Contact", deleted, include_deleted=True) == 1


def test_the_bin_is_emptied_after_15_days_or_earlier(org: Org) -> None:
    first, second, third = org.ids("Account", limit=3)
    org.delete("Account", [first])
    org.advance(5 * DAY_S)
    org.delete("Account", [second])
    assert org.count("Account", "IsDeleted = true", include_deleted=True) == 2
    org.advance(10 * DAY_S)
    assert org.ids("Account", "IsDeleted = true", include_deleted=True) == [second]
    org.purge("Account")
    assert org.count("Account", include_deleted=True) == 298
    org.hard_delete("Account", [third])
    assert org.count("Account", include_deleted=True) == 297


def test_an_undeleted_record_is_not_purged_later(org: Org) -> None:
    record = org.ids("Account", limit=1)
    org.delete("Account", record)
    org.advance(DAY_S)
    org.undelete("Account", record)
    org.delete("Account", record)
    org.advance(14 * DAY_S)
    assert org.ids("Account", "IsDeleted = true", include_deleted=True) == record
    org.advance(DAY_S)
    assert org.count("Account", include_deleted=True) == 299


def test_a_merge_deletes_the_losers_and_moves_their_children(org: Org, call: Caller) -> None:
    winner, loser = org.insert("Account", count=2)
    child = org.insert("Contact", {"AccountId": loser})
    org.merge("Account", winner, [loser])
    row = call.rows(f"SELECT IsDeleted, MasterRecordId FROM Account WHERE Id = '{loser}'", "queryAll")[0]
    assert row == {"IsDeleted": True, "MasterRecordId": winner}
    assert org.ids("Contact", f"AccountId = '{winner}'") == child


def test_objects_without_is_deleted_lose_rows_at_once(org: Org) -> None:
    before = org.count("User")
    org.delete("User", org.ids("User", limit=1))
    assert org.count("User", include_deleted=True) == before - 1


def test_hidden_records_vanish_without_any_stamp(org: Org) -> None:
    hidden = org.ids("Account", limit=2)
    org.hide_records("Account", hidden)
    assert org.count("Account") == 298
    assert org.snapshot("Account").num_rows == 298
    org.hide_records("Account", hidden, False)
    assert org.count("Account") == 300


def test_back_dated_records_are_accepted(org: Org) -> None:
    org.insert("Account", {"CreatedDate": "1970-01-02T00:00:00+00:00", "Name": "Old"})
    assert org.count("Account", "CreatedDate < 1971-01-01T00:00:00Z") == 1


def test_wrong_control_calls_say_what_is_wrong(org: Org) -> None:
    with pytest.raises(ValueError, match="no stored field 'Nope'"):
        org.update("Account", org.ids("Account", limit=1), {"Nope": 1})
    with pytest.raises(ValueError, match="has no record"):
        org.update("Account", ["0015g00000zzzzzAAA"], {})
    with pytest.raises(ValueError, match="not a number"):
        org.insert("Account", {"AnnualRevenue": "much"})
    with pytest.raises(ValueError, match="lengths differ"):
        org.insert("Account", {"Name": ["a", "b"]}, count=3)
    with pytest.raises(ValueError, match="no object"):
        org.insert("Nope")
    with pytest.raises(ValueError, match="never goes backwards"):
        org.freeze(START.replace(year=2020))


def test_many_small_writes_leave_every_record_in_one_version(org: Org) -> None:
    ids = org.ids("Account")
    for number in range(150):
        org.update("Account", [ids[number % 7], ids[-1]], {"Name": f"n{number}"})
        if number % 10 == 0:
            org.insert("Account", {"Name": "new"})
    assert org.count("Account") == 315
    assert len(set(org.ids("Account"))) == 315
    assert org.count("Account", f"Id = '{ids[-1]}' AND Name = 'n149'") == 1
    assert org.count("Account", "Name = 'n147'") == 1


# Schema


def test_an_added_field_has_its_value_without_a_stamp(org: Org, call: Caller) -> None:
    org.advance(60)
    org.add_field("Account", Field("Tier__c", "string", length=10), value="Gold")
    org.add_field("Account", Field("Empty__c", "double", precision=18, scale=2))
    assert call.count("SELECT COUNT() FROM Account WHERE Tier__c = 'gold' AND Empty__c = null") == 300
    assert call.count("SELECT COUNT() FROM Account WHERE SystemModstamp >= 2026-01-15T12:00:00Z") == 0
    org.update("Account", org.ids("Account", limit=2), {"Tier__c": "Silver", "Empty__c": 1.5})
    assert call.count("SELECT COUNT() FROM Account WHERE Tier__c = 'silver' AND Empty__c = 1.5") == 2


def test_a_dropped_or_hidden_field_is_unknown_to_the_api(org: Org, call: Caller) -> None:
    org.drop_field("Account", "Rating")
    org.hide_field("Account", "Phone")
    for name in ("Rating", "Phone"):
        assert call.query(f"SELECT {name} FROM Account").error == (400, "INVALID_FIELD")
        assert name not in org.snapshot("Account").column_names
    org.hide_field("Account", "Phone", hidden=False)
    assert call.count("SELECT COUNT() FROM Account WHERE Phone != null") > 0
    org.add_field("Account", Field("Rating"))
    assert call.count("SELECT COUNT() FROM Account WHERE Rating != null") == 0


def test_renamed_and_retyped_fields_keep_what_fits(org: Org, call: Caller) -> None:
    org.insert("Ledger__c", {"Name": ["12", "x", "1.5"]}, fill=False)
    org.rename_field("Ledger__c", "Name", "Title__c")
    assert call.query("SELECT Name FROM Ledger__c").status == 400
    org.retype_field("Ledger__c", "Title__c", type="double", precision=10, scale=2)
    titles = [row["Title__c"] for row in call.rows("SELECT Title__c FROM Ledger__c")]
    assert sorted(map(str, titles)) == ["1.5", "12.0", "None"]
    assert org.snapshot("Ledger__c").schema.field("Title__c").type == pa.decimal128(18, 2)


def test_new_objects_and_renamed_picklist_values(org: Org, call: Caller) -> None:
    fields = {"Id": Field("Id", "id"), "Name": Field("Name"), "IsDeleted": Field("IsDeleted", "boolean")}
    org.add_object(ObjectType("New__c", "a99", fields))
    org.insert("New__c", {"Name": "first"})
    assert call.rows("SELECT Name FROM New__c") == [{"Name": "first"}]
    before = org.count("Account", "Industry = 'Banking'")
    org.advance(60)
    org.rename_picklist_value("Account", "Industry", "Banking", "Money")
    assert org.count("Account", "Industry = 'Money' AND SystemModstamp = 2026-01-15T12:01:00Z") == before > 0


# The snapshot


def test_the_snapshot_is_typed_exactly(org: Org) -> None:
    org.insert(
        "Oddity__c",
        {"Money__c": "1234567890123456.78", "Day__c": date(1700, 1, 1), "Moment__c": "4000-12-31T23:59:59+00:00",
         "Opens__c": "13:45:00.123Z", "Flag__c": None, "Count__c": 2**53 + 1, "Fine__c": "0.00000001"},
        fill=False,
    )  # fmt: skip
    row = org.snapshot("Oddity__c").to_pylist()[0]
    assert row["Money__c"] == Decimal("1234567890123456.78")
    assert row["Day__c"] == date(1700, 1, 1)
    assert row["Moment__c"].year == 4000
    assert row["Opens__c"].isoformat() == "13:45:00.123000"
    assert (row["Flag__c"], row["Count__c"], row["Fine__c"]) == (False, 2**53 + 1, Decimal("0.00000001"))
    assert "Place__c" not in row
    assert "File__c" not in row


def test_the_snapshot_widens_for_data_that_break_their_declaration(org: Org) -> None:
    org.insert("Oddity__c", {"Money__c": ["1.23456", "12345678901234567890"]}, fill=False)
    column = org.snapshot("Oddity__c")["Money__c"]
    assert column.type == pa.decimal128(25, 5)
    assert column.to_pylist() == [Decimal("1.23456"), Decimal("12345678901234567890.00000")]


@pytest.mark.parametrize(
    ("field", "type"),
    [
        (Field("A__c", "double", precision=18, scale=2), pa.decimal128(18, 2)),
        (Field("A__c", "double", precision=18, scale=4), pa.decimal128(20, 4)),
        (Field("A__c", "double", precision=18, scale=2, high_scale=True), pa.decimal128(24, 8)),
        (Field("A__c", "currency", precision=18, scale=0), pa.decimal128(18, 2)),
        (Field("A__c", "double", precision=18, scale=2, formula="1"), pa.decimal128(22, 6)),
        (Field("A__c", "double"), pa.float64()),
    ],
)
def test_decimals_keep_room_before_and_after_the_point(field: Field, type: pa.DataType) -> None:
    assert arrow_type(field) == type


def test_the_snapshot_hides_or_shows_deleted_rows(org: Org) -> None:
    gone = org.ids("Account", limit=2)
    org.delete("Account", gone)
    assert org.snapshot("Account").num_rows == 298
    whole = org.snapshot("Account", include_deleted=True)
    assert whole["Id"].to_pylist() == sorted(whole["Id"].to_pylist())
    assert [row["Id"] for row in whole.to_pylist() if row["IsDeleted"]] == gone


def test_readers_see_every_record_once_while_others_write(org: Org) -> None:
    ids = org.ids("Account")
    wrong: list[object] = []

    def read() -> None:
        call = Caller(org)
        for _ in range(10):
            rows = call.rows("SELECT Id, Name, Owner.Name FROM Account", sforce_query_options="batchSize=200")
            if sorted(row["Id"] for row in rows) != ids:
                wrong.append(len(rows))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(60):
        org.update("Account", ids[number : number + 90], {"Name": f"n{number}"})
        org.update("User", org.ids("User"), {"Name": f"u{number}"})
    for reader in readers:
        reader.join()
    assert not wrong
