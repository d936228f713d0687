"""Statistical methods on arrays and numbers; they know no study, no table and no file.

Whatever scipy or statsmodels has is theirs; what they lack is here, and compared with slow twins in
the tests and with values that R prints.
"""
