{#- Every score lies between min_value and max_value, both included. NULLs are no_null_predictions' concern. -#}
{% test accepted_prediction_range(model, column_name, min_value=none, max_value=none) %}
  {%- set column = adapter.quote(column_name) -%}
  {#- To Spark, NaN is greater than any number. -#}
  select {{ column }}
  from {{ model }}
  where isnan({{ column }})
    {%- if min_value is not none %} or {{ column }} < {{ min_value }}{% endif %}
    {%- if max_value is not none %} or {{ column }} > {{ max_value }}{% endif %}
{% endtest %}
