"""The fuzz targets with hypothesis: briefly in every test run, at length with `--hypothesis-profile=long`."""

from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.verdict import Surface
from tests.fuzz import targets
from tests.fuzz.texts import put_together, tokens

ANY = st.text(st.characters(codec=None, categories=None), max_size=12)
TEXTS = st.one_of(
    st.builds(put_together, st.lists(st.integers(0, 1 << 16), max_size=16), ANY),
    st.lists(st.one_of(st.sampled_from(tokens()), ANY), max_size=8).map("".join),
)
CUTS = st.lists(st.integers(0, 400), max_size=12)
SURFACES: st.SearchStrategy[Surface] = st.sampled_from(("text", "json"))


@settings(deadline=None)
@given(TEXTS, CUTS, SURFACES)
def test_folding_pieces_folds_the_whole(text: str, cuts: list[int], surface: Surface) -> None:
    targets.folding_pieces_folds_the_whole(text, cuts, surface)


@settings(deadline=None)
@given(TEXTS, CUTS, SURFACES)
def test_a_stream_lets_out_what_the_whole_text_does(text: str, cuts: list[int], surface: Surface) -> None:
    targets.a_stream_lets_out_what_the_whole_text_does(text, cuts, surface)


@settings(deadline=None)
@given(st.one_of(st.sampled_from(tokens()), TEXTS.map(lambda text: text[:16])), SURFACES)
def test_an_endless_text_is_not_hoarded(unit: str, surface: Surface) -> None:
    targets.an_endless_text_is_not_hoarded(unit, surface)
