{#- A relation for FROM: every column of `relation`, then what the model says of it. -#}
{% macro predict(model, relation, prefix=none) -%}
  {%- set reference = model.reference if model is mapping else model -%}
  {#- The line break ends a comment that a query may end with. -#}
  PREDICT({{ sqlml.literal(reference) }}, TABLE({{ relation }}
  ){% if prefix %}, prefix => {{ sqlml.literal(prefix) }}{% endif %})
{%- endmacro %}
