{#- The version that a reference means was compared with its original, and scores as that does. -#}
{% test parity_ok(model, scored_by) %}
  {#- A row for every comparison that is not good, and one where there was none. -#}
  select 1 as failed
  where not exists (
    select * from model_parity({{ sqlml.literal(scored_by) }}) where ok and rows_compared > 0
  )
{% endtest %}
