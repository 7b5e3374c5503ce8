"""What the figures are held against: Syncline's goals, and the other programs in the same run.

A goal that names another program holds Syncline's figure against that program's in the same run, for both had the same
machine then. CPU is what repeats within ten percent; wall time is judged where somebody waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from benchmarks.cases_command import CRON
from benchmarks.cases_streams import EXECUTORS, IDLE_MANY, IDLE_OBJECTS, SMALL_OBJECTS, two_streams_case
from benchmarks.cases_target import SYNCS, SYNCS_MAINTAINED, merge_case
from benchmarks.measure import Measurement

Measured = Sequence[Measurement]

LIMIT_CPU_MAX: Final = 1.15
LIMIT_RATE_MIN: Final = 0.9
DLT_RATE_MIN: Final = 15
DLT_CPU_MAX: Final = 1 / 9
PEAK_MB_MAX: Final = 450
BEST_WAY_MAX: Final = 1.3
SCANS_MAX: Final = 1.3
"""One scan of the key column, and three tenths for what is not the scan."""
SCANS_CLUSTERED_MAX: Final = 0.5
CORES_MIN: Final = 1.6
"""Of two, by the program and the org together: one of them alone is one core's work, whatever it waits for."""
ORG_CPU_S_MAX: Final = 3.0
SMALL_CPU_S_MAX: Final = 0.05
IDLE_CPU_S_MAX: Final = 1.0
CRON_S_MAX: Final = 1.2
HELP_S_MAX: Final = 0.3
UPKEEP_GROWTH_MAX: Final = 1.3
"""Of the CPU: what the syncs before have left behind must not make the next one dearer."""

OVERLAP: Final = "idle, changes in the overlap"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``met`` is None when the run did not measure it."""

    name: str
    goal: str
    value: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class Ratio:
    """Syncline's figure over the other program's: rows a second, CPU per row, peak memory."""

    case: str
    against: str
    rows_per_s: float
    cpu_per_row: float
    peak_rss: float


def find(measured: Measured, case: str, program: str = "syncline") -> Measurement | None:
    return next((each for each in measured if (each.case, each.program) == (case, program) and each.reading), None)


def verdicts(measured: Measured) -> list[Verdict]:
    """Every goal of the benchmark, whether this run measured it or not."""
    parts = (_full_loads, _memory, _changes, _merges, _small_syncs, _idle, _streams, _commands)
    return list(chain.from_iterable(part(measured) for part in parts))


def ratios(measured: Measured) -> list[Ratio]:
    """Syncline beside every other program that did the same work."""
    found = []
    for other in measured:
        mine = find(measured, other.case)
        if other.program == "syncline" or not other.reading or mine is None or mine.reading is None:
            continue
        cpu = mine.cpu_s_per_million / other.cpu_s_per_million
        peak = mine.reading.peak_rss_mb / other.reading.peak_rss_mb
        found.append(Ratio(other.case, other.program, mine.rows_per_s / other.rows_per_s, cpu, peak))
    return found


# ---- the goals, in the order in which they are told ----


def _full_loads(measured: Measured) -> Iterator[Verdict]:
    for name, case in (("Bulk", "bulk"), ("Bulk, five times the rows", "larger")):
        cpu = _over(_cpu_rate(measured, case), _cpu_rate(measured, case, "plain_csv"))
        yield _at_most(f"{name}: CPU over the CSV limit script's", LIMIT_CPU_MAX, cpu)
        rate = _over(_rate(measured, case), _rate(measured, case, "plain_csv"))
        yield _at_least(f"{name}: rows/s over the CSV limit script's", LIMIT_RATE_MIN, rate)
    rate = _over(_rate(measured, "bulk"), _rate(measured, "rest", "dlt"))
    yield _at_least("Bulk: rows/s over those of dlt's REST pages", DLT_RATE_MIN, rate, "{:.1f} x")
    cpu = _over(_cpu_rate(measured, "bulk"), _cpu_rate(measured, "rest", "dlt"))
    goal = f"<= 1/{1 / DLT_CPU_MAX:.0f}"
    yield _judge("Bulk: CPU over that of dlt's REST pages", goal, cpu, lambda v: v <= DLT_CPU_MAX, "{:.3f} x")
    cpu = _over(_cpu_rate(measured, "rest"), _cpu_rate(measured, "rest", "plain_json"))
    yield _at_most("REST: CPU over the JSON limit script's", LIMIT_CPU_MAX, cpu)
    org_cpu = _each(find(measured, "bulk"), lambda each: each.org_cpu_s_per_million)
    yield _below("the org's own CPU, Bulk, for a million rows", ORG_CPU_S_MAX, org_cpu, "{:.2f} s")


def _memory(measured: Measured) -> Iterator[Verdict]:
    for name, case in (
        ("Bulk", "bulk"), ("Bulk, five times the rows", "larger"), ("Bulk, twenty times the rows", "largest"),
        ("REST", "rest"),
    ):  # fmt: skip
        peak = _each(find(measured, case), lambda each: _reading(each).peak_rss_mb)
        yield _at_most(f"{name}: peak memory", PEAK_MB_MAX, peak, "{:,.0f} MB")


def _changes(measured: Measured) -> Iterator[Verdict]:
    """The best way is that of the plain scripts which took the least."""
    case = "a tenth changed"
    for name, figure in (("wall time", _wall), ("CPU", _cpu)):
        plain = [found for program in ("plain_csv", "plain_json") if (found := figure(measured, case, program))]
        ratio = _over(figure(measured, case), min(plain, default=None))
        yield _at_most(f"a tenth of the rows changed: {name} over the best way's", BEST_WAY_MAX, ratio)


def _merges(measured: Measured) -> Iterator[Verdict]:
    """How many scans of the key column a merge into the larger target costs more than one into the smaller."""
    for keys, most in (("spread", SCANS_MAX), ("newest", SCANS_CLUSTERED_MAX)):
        name = f"merge, {keys} keys: CPU by which a larger target costs more"
        scans = _over(
            _growth(_merged(measured, keys), _cpu_s), _growth(_merged(measured, "spread", "plain_merge"), _scan)
        )
        yield _at_most(name, most, scans, "{:.2f} scans of the key column")


def _small_syncs(measured: Measured) -> Iterator[Verdict]:
    """Of the file's growth no bound is asked: that it is measured meets the goal."""
    for name in (SYNCS, SYNCS_MAINTAINED):
        syncs = _detail(find(measured, name), "syncs")
        first, last = syncs.get("1", {}), syncs.get("100", {})
        cpu = _over(last.get("cpu_s"), first.get("cpu_s"))
        yield _at_most(f"{name}: CPU of the last over the first's", UPKEEP_GROWTH_MAX, cpu)
        if first and last:
            grown = f"{first['file_mb']:,.1f} -> {last['file_mb']:,.1f} MB"
            yield Verdict(f"{name}: growth of the file", "measured", grown, True)
        else:
            yield Verdict(f"{name}: growth of the file", "measured", "not measured", None)


def _idle(measured: Measured) -> Iterator[Verdict]:
    for case in ("idle", OVERLAP, IDLE_MANY):
        statements = _number(find(measured, case), "warehouse_statements")
        yield _judge(f"{case}: warehouse statements", "0", statements, lambda v: v == 0, "{:.0f}")
    yield _below(f"{IDLE_MANY}: CPU", IDLE_CPU_S_MAX, _cpu(measured, IDLE_MANY), "{:.2f} s")
    whole = _number(find(measured, IDLE_MANY), "process_cpu_s")
    yield _below(f"{IDLE_MANY}: CPU with the program's start", IDLE_CPU_S_MAX, whole, "{:.2f} s")
    calls = _over(_number(find(measured, IDLE_MANY), "api_calls"), IDLE_OBJECTS)
    yield _at_most(f"{IDLE_MANY}: requests a stream", 1, calls, "{:.2f}")


def _streams(measured: Measured) -> Iterator[Verdict]:
    cpu = _over(_cpu(measured, "small"), SMALL_OBJECTS)
    yield _below(f"{SMALL_OBJECTS} small streams: CPU of each", SMALL_CPU_S_MAX, cpu, "{:.3f} s")
    cases = [find(measured, two_streams_case(executor)) for executor in EXECUTORS]
    cores = max((_cores(each) for each in cases if each), default=None)
    yield _at_least("REST, two streams: cores at work, the org's among them", CORES_MIN, cores, "{:.2f}")


def _commands(measured: Measured) -> Iterator[Verdict]:
    run, help_ = _wall(measured, CRON), _wall(measured, "help")
    yield _below("syncline run, nothing to do", CRON_S_MAX, run, "{:.2f} s")
    yield _below("syncline --help", HELP_S_MAX, help_, "{:.3f} s")


# ---- how they are told ----


def _judge(name: str, goal: str, value: float | None, holds: Callable[[float], bool], form: str) -> Verdict:
    if value is None:
        return Verdict(name, goal, "not measured", None)
    return Verdict(name, goal, form.format(value), holds(value))


def _at_most(name: str, most: float, value: float | None, form: str = "{:.2f} x") -> Verdict:
    return _judge(name, f"<= {_unit(most, form)}", value, lambda v: v <= most, form)


def _at_least(name: str, least: float, value: float | None, form: str = "{:.2f} x") -> Verdict:
    return _judge(name, f">= {_unit(least, form)}", value, lambda v: v >= least, form)


def _below(name: str, bound: float, value: float | None, form: str) -> Verdict:
    return _judge(name, f"< {_unit(bound, form)}", value, lambda v: v < bound, form)


def _unit(bound: float, form: str) -> str:
    return f"{bound:g}{form.partition('}')[2]}"


# ---- the figures ----


def _each(found: Measurement | None, figure: Callable[[Measurement], float]) -> float | None:
    return None if found is None else figure(found)


def _reading(found: Measurement) -> Any:
    return found.reading


def _rate(measured: Measured, case: str, program: str = "syncline") -> float | None:
    return _each(find(measured, case, program), lambda each: each.rows_per_s)


def _cpu_rate(measured: Measured, case: str, program: str = "syncline") -> float | None:
    return _each(find(measured, case, program), lambda each: each.cpu_s_per_million)


def _wall(measured: Measured, case: str, program: str = "syncline") -> float | None:
    return _each(find(measured, case, program), lambda each: float(_reading(each).wall_s))


def _cpu(measured: Measured, case: str, program: str = "syncline") -> float | None:
    return _each(find(measured, case, program), _cpu_s)


def _cpu_s(found: Measurement) -> float:
    return float(_reading(found).cpu_s)


def _cores(found: Measurement) -> float:
    return (_cpu_s(found) + found.org_cpu_s) / float(_reading(found).wall_s)


def _scan(found: Measurement) -> float:
    return float(_detail(found, "scan")["cpu_s"])


def _detail(found: Measurement | None, name: str) -> Mapping[str, Any]:
    return {} if found is None else _reading(found).detail.get(name, {})


def _number(found: Measurement | None, name: str) -> float | None:
    return _each(found, lambda each: float(_reading(each).detail[name]))


def _over(value: float | None, other: float | None) -> float | None:
    return None if value is None or not other else value / other


def _merged(measured: Measured, keys: str, program: str = "syncline") -> list[Measurement]:
    """The merges by those keys, into the smallest target first."""
    found = [
        each
        for each in measured
        if each.reading
        and each.program == program
        and each.case == merge_case(int(_reading(each).detail.get("target_rows", 0)), keys)
    ]
    return sorted(found, key=lambda each: int(_reading(each).detail["target_rows"]))


def _growth(found: Sequence[Measurement], figure: Callable[[Measurement], float]) -> float | None:
    return figure(found[-1]) - figure(found[0]) if len(found) > 1 else None
