{#- The rows of a query whose keys are not in a table; keys that are NULL are equal. -#}
{% macro not_yet_scored(query, table, keys) -%}
  select candidate.*
  from (
    {{ query }}
  ) as candidate
  left anti join {{ table }} as scored
    on {% for key in keys -%}
      candidate.{{ adapter.quote(key) }} <=> scored.{{ adapter.quote(key) }}
      {%- if not loop.last %} and {% endif %}
    {%- endfor %}
{%- endmacro %}
