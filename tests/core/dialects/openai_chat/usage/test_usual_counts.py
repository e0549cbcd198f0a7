"""The quick readings of usual reports say what the reading of any report says."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.core.dialects.openai_chat.usage import counts
from gateway.core.dialects.openai_chat.usage.usual_counts import usual
from gateway.core.records.counting import UsageRule
from gateway.core.records.usage import Usage

from .....rounds import rounds

COUNTS: st.SearchStrategy[Any] = st.integers(-1, 40) | st.sampled_from(
    [None, True, "7", 7.0, 0.5, 2**31, 2**31 - 1, [], {}]
)
DETAILS = st.dictionaries(
    st.sampled_from(
        [
            *("cached_tokens", "audio_tokens", "reasoning_tokens", "image_tokens", "text_tokens"),
            *("accepted_prediction_tokens", "rejected_prediction_tokens", "cache_write_tokens"),
        ]
    ),
    COUNTS,
    max_size=4,
)
REPORTS = st.fixed_dictionaries(
    {"prompt_tokens": COUNTS, "completion_tokens": COUNTS},
    optional={
        "total_tokens": COUNTS,
        "prompt_tokens_details": DETAILS | COUNTS,
        "completion_tokens_details": DETAILS | COUNTS,
        "cost": st.just(0.5),
        "cache_read_input_tokens": COUNTS,
    },
)


@given(REPORTS, st.booleans(), st.sampled_from(["usual", "cache_beside", "reasoning_beside"]))
@example(
    {
        "prompt_tokens": 9,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 2, "accepted_prediction_tokens": 0},
    },
    True,
    "cache_beside",
)
@settings(max_examples=rounds(100, 1000))
def test_a_report_is_read_the_same_both_ways(
    report: dict[str, Any], adds_up: bool, rule: UsageRule
) -> None:
    prompt, completion = report["prompt_tokens"], report["completion_tokens"]
    if adds_up and type(prompt) is type(completion) is int:
        report = {**report, "total_tokens": prompt + completion}
    assert counts.usage_of(report, rule) == counts._of_any(report, rule)


def test_openais_own_reports_are_read_the_quick_way() -> None:
    report = {
        "prompt_tokens": 9,
        "completion_tokens": 5,
        "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 2,
            "audio_tokens": 1,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    assert usual(report) == Usage(9, 5, 4, 2, output_audio_tokens=1)
