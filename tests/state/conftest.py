import pytest

pytest.register_assert_rewrite("syncline.state.conformance")
