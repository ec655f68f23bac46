"""People compare pictures: a survey as web pages that need no network, and the percentages that its answers make.

As in the human study of Meng et al. 2022 (section 4, tables 1 and 3) a rater sees two pictures made of one guide, by
SDEdit and by another method, and says which is more realistic and, with the guide beside them, which is the better
result. `build` turns folders of pictures into pages and a key, which says what lay left and right and stays with
whoever asks; `aggregate` reads the raters' answers with it.
"""

from sdedit_jax.survey.aggregation import aggregate
from sdedit_jax.survey.building import build
from sdedit_jax.survey.errors import SurveyError
from sdedit_jax.survey.results import Results, Row

__all__ = ["Results", "Row", "SurveyError", "aggregate", "build"]
