{#- The columns of a scored model's unique_key, as a list. -#}
{% macro scored_keys() %}
  {%- set key = config.get('unique_key') -%}
  {%- if not key -%}
    {%- do exceptions.raise_compiler_error(
      "[ARGUMENT_INVALID] A scored model has no unique_key, which tells the rows that are scored"
      ~ " already. Write config(materialized='scored', unique_key='customer_id', …)."
    ) -%}
  {%- endif -%}
  {{ return([key] if key is string else key) }}
{% endmacro %}
