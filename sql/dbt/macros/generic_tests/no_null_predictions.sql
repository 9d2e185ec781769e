{#- Every row has a score: a row that the model could not take scores NULL, some models answer NaN. -#}
{% test no_null_predictions(model, column_name='prediction') %}
  {%- set column = adapter.quote(column_name) -%}
  select {{ column }}
  from {{ model }}
  where {{ column }} is null or cast({{ column }} as string) = 'NaN'
{% endtest %}
