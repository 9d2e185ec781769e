{#- The rows of a query, what one version says of each, and which version that was. -#}
{% macro scored_rows(version, query) -%}
  select *, {{ sqlml.model_columns(version) }}
  from {{ sqlml.predict(version, query, prefix=config.meta_get('prefix')) }}
{%- endmacro %}
