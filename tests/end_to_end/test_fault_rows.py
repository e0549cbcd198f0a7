"""Each row of the table "What happens when things fail" in docs/operations.md has a test.

Rows are named by how they begin. `make soak` runs all of these tests at length.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Final

from .test_fault_table import DOCS

TESTS: Final = Path(__file__).parents[1]
STATE: Final = "state/shared/test_link.py::"
PARTITION: Final = "end_to_end/test_partition.py::"
CUT: Final = f"{PARTITION}test_a_host_is_cut_off_and_comes_back"

ROWS: Final[dict[str, tuple[str, ...]]] = {
    "a client reads 16 KiB per": (
        "serve/test_progress.py::test_a_slow_reader_stays",
        "end_to_end/test_callers.py::test_slow_but_steady_reader_gets_everything",
    ),
    "a client reads nothing": (
        "end_to_end/test_callers.py::test_stalled_reader_stops_the_provider_and_is_dropped",
        "end_to_end/test_stalled_memory.py::test_stalled_readers_hold_what_is_promised",
    ),
    "a client's machine is gone": (
        "serve/test_progress.py::test_a_machine_that_vanished_is_told_from_a_client_that_left",
    ),
    "a client leaves behind any amount": (
        "end_to_end/test_edges.py::test_a_caller_that_leaves_behind_junk_is_seen_before_the_first_event",
    ),
    "a chunked body is malformed": (
        "end_to_end/test_edges.py::test_a_malformed_body_is_one_refusal_under_one_id",
    ),
    "an unknown `Expect`": ("end_to_end/test_edges.py::test_expectations",),
    "a key at its `max_concurrent` of 1": (
        "end_to_end/test_edges.py::test_who_leaves_several_times_in_a_row_is_let_in",
    ),
    "a slow reader of a long answer": (
        "end_to_end/test_limits.py::test_place_is_free_again_at_the_last_byte",
        "proxy/test_admission.py::test_a_lease_ends_with_the_last_byte",
    ),
    "a key is at its `max_concurrent`": (
        "end_to_end/test_limits.py::test_open_streams_are_limited_and_free_again_when_closed",
    ),
    "stderr is not read": (
        "end_to_end/test_stuck_logs.py::test_output_that_is_not_read_stops_nothing",
    ),
    "stdout, stderr or both are closed": (
        "end_to_end/test_stuck_logs.py::test_output_that_is_closed_is_no_reason_to_leave",
    ),
    "the disk of stdout is full": ("end_to_end/test_record_faults.py::test_disk_is_full",),
    "a provider's certificate": ("upstream/test_tls.py::test_a_bad_certificate",),
    "a provider's 4xx has no end": (
        "proxy/attempts/reading/test_body.py::test_a_bomb_counts_by_what_it_inflates_to",
    ),
    "a compressed 4xx": ("end_to_end/test_answers.py::test_a_compressed_refusal_is_relayed_plain",),
    "`Retry-After: 0`": ("core/routing/test_backoff.py::test_retry_after",),
    "a 200 that is no answer": ("end_to_end/test_failover.py::test_what_the_client_sees",),
    "a provider without another one": (
        "core/routing/breaker/test_breaker.py::"
        "test_one_that_fails_a_third_never_opens_where_there_is_no_other",
    ),
    "it fails all of them": (
        "core/routing/breaker/test_breaker.py::"
        "test_one_that_is_down_is_sent_few_and_all_again_as_soon_as_it_is_well",
    ),
    "a route failed at once": (
        "end_to_end/test_resilience.py::test_default_primary_is_back_within_thirty_seconds",
    ),
    "a mistake of ours in what every request": (
        "end_to_end/test_own_failure.py::test_the_process_ends_quickly_and_says_why",
        "end_to_end/test_own_failure.py::test_a_supervisor_starts_another_worker",
    ),
    "a mistake of ours behind the first event": (
        "proxy/test_exchange.py::test_a_mistake_in_the_middle_ends_the_answer_unfinished",
    ),
    "a request that cannot be read": (
        "end_to_end/test_fuzz.py::test_bodies_that_are_no_request",
        "end_to_end/test_fuzz.py::test_members_values_and_damage_at_random",
    ),
    "the name server is silent": (
        "upstream/test_resolver.py::test_many_silent_names_keep_no_other_waiting_for_long",
    ),
    "the name server is away": (
        "upstream/test_resolver.py::test_with_the_name_server_away_the_last_answer_holds",
    ),
    "more requests than can be served": (
        "serve/entry/test_loopback.py::test_others_and_probes_do_not_wait_behind_one_that_floods",
    ),
    "no descriptor or memory left to accept": (
        "end_to_end/test_shortage.py::test_no_descriptors_left_is_not_the_providers_fault",
    ),
    "no descriptor, memory or local port": (
        "end_to_end/test_shortage.py::"
        "test_without_descriptors_what_is_open_serves_and_nothing_is_lost",
    ),
    "no descriptor left for the database": (
        "end_to_end/test_shortage.py::"
        "test_without_descriptors_what_is_open_serves_and_nothing_is_lost",
    ),
    "many large request bodies": (
        "end_to_end/test_memory.py::"
        "test_large_bodies_under_a_limit_of_memory_are_served_or_told_to_come_back",
    ),
    "no memory left all the same": ("proxy/test_exchange.py::test_a_lack_of_memory_is_a_503",),
    "the process is stopped for a while": (
        "end_to_end/test_stopped.py::test_a_stop_is_no_silence_of_the_provider",
        "end_to_end/test_stopped.py::test_a_request_that_came_during_a_stop_is_answered",
    ),
    "a restart, with spending": (
        "process/test_budgets.py::test_what_waits_in_a_journal_is_spent_from_the_start",
    ),
    "a reload of a half-written file": (
        "end_to_end/test_reload.py::test_no_beginning_of_a_file_opens_the_gateway",
    ),
    "a record that cannot be written": (
        "store/writing/test_writer.py::test_a_record_that_can_never_be_written_holds_no_other_up",
    ),
    "a fault of the debug log's own": (
        "proxy/test_capture.py::test_a_fault_of_the_debug_log_costs_no_request",
    ),
    "the server of `[state]` is away": (
        f"{STATE}test_no_request_fails_or_waits_while_the_server_is_at_fault",
        "end_to_end/test_shared_limits.py::test_serves_while_the_server_is_away_and_says_so",
    ),
    "it is slow (20 s)": (f"{STATE}test_no_request_fails_or_waits_while_the_server_is_at_fault",),
    "its connection is cut in the middle": (
        f"{STATE}test_no_request_fails_or_waits_while_the_server_is_at_fault",
        f"{STATE}test_money_is_neither_lost_nor_counted_twice",
    ),
    "it is `-LOADING`": (f"{STATE}test_no_request_fails_or_waits_while_the_server_is_at_fault",),
    "it was emptied": (
        "state/shared/test_store.py::test_a_server_that_forgets_everything_is_told_again",
    ),
    "it has no memory left": (
        "state/shared/test_store.py::test_a_server_that_is_full_fails_nobody",
    ),
    "some processes are cut off": (
        "state/shared/test_store.py::test_one_that_was_cut_off_is_counted_when_it_is_back",
    ),
    "it has failed over": (
        "state/redis/test_connection.py::test_sentinels_name_another_server",
        "state/redis/test_limit_store.py::test_a_server_whose_clock_is_behind_keeps_nobody_waiting",
    ),
    "it is away at the start": (f"{STATE}test_starts_without_the_server_and_says_so",),
    "one of two hosts is cut off": (CUT,),
    "a key is revoked": (f"{PARTITION}test_a_key_that_is_revoked_during_a_cut",),
    "a key that never was good": (CUT,),
    "a stream is under way": (CUT,),
    "an [upgrade]": (
        "end_to_end/test_upgrade.py::test_nothing_is_lost_while_two_workers_are_replaced",
        "end_to_end/test_upgrade.py::test_whatever_happens_during_upgrades_of_one_worker",
    ),
    "hosts count in one server": (
        "process/test_budgets.py::test_databases_of_two_gateways_have_one_budget_together",
        "state/redis/test_arguments.py::test_a_budget_is_what_all_databases_have",
    ),
    "a worker is killed that had places": (
        "end_to_end/test_shared_limits.py::test_a_killed_worker_leaves_no_place_taken",
        "state/redis/test_limit_store.py::test_no_lease_outlives_a_killed_process",
    ),
    "a host or a process is killed": (
        "end_to_end/test_hosts.py::test_either_host_shows_both_and_acts_on_both",
    ),
    "an operator drains one of several": (
        "end_to_end/test_hosts.py::test_one_worker_is_drained_and_the_others_take_what_is_new",
    ),
    "an operator drains a host": (
        "end_to_end/test_hosts.py::test_either_host_shows_both_and_acts_on_both",
    ),
    "the process is killed that deletes": (
        "end_to_end/test_hosts.py::test_leaders_are_shown_and_replaced",
    ),
    "the connection on which PostgreSQL tells": (
        "store/held/test_holder.py::test_a_server_that_comes_back_is_listened_to_again",
    ),
    "breakers off": (
        "core/routing/breaker/test_breaker.py::"
        "test_switched_off_it_lets_all_pass_and_counts_nothing",
        "core/routing/test_retry_budget.py::test_first_attempts_earn_a_fifth",
    ),
}


def faults() -> list[str]:
    """Return the faults of the table, in its order."""
    text = DOCS.read_text()
    table = text[text.index("## What happens when things fail") :]
    rows = table[table.index("|---") :].splitlines()[1:]
    found = []
    for row in rows:
        if not row.startswith("|"):
            break
        found.append(row.split("|")[1].strip().removeprefix("\N{EN DASH} "))
    return found


@cache
def functions_of(file: Path) -> frozenset[str]:
    tree = ast.parse(file.read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(each.name for each in tree.body if isinstance(each, functions))


def test_each_fault_has_a_test_that_exists() -> None:
    found = faults()
    assert len(found) > 50
    named: set[str] = set()
    for fault in found:
        names = [name for name in ROWS if fault.startswith(name)]
        assert names, f"no test is named for the fault {fault!r}"
        named.add(max(names, key=len))
    assert named == {*ROWS}
    for name, tests in ROWS.items():
        assert tests, name
        for test in tests:
            file, _, function = test.partition("::")
            assert function in functions_of(TESTS / file), f"{name}: there is no {test}"
