{#- A table made beside the one of its name, which stays readable until the new one is whole. -#}
{% macro replace_table(existing, target_relation, query) %}
  {%- if config.get('location_root') -%}
    {%- do exceptions.raise_compiler_error(
      "[ARGUMENT_INVALID] A scored model was given location_root, which a table that is replaced whole cannot keep."
      ~ " Remove it: the table lives in the schema's own location."
    ) -%}
  {%- endif -%}
  {%- set fresh = make_intermediate_relation(target_relation) -%}
  {#- One may be left of a run that was killed. -#}
  {%- do adapter.drop_relation(fresh) -%}
  {%- call statement('main') -%}
    {{ create_table_as(false, fresh, query) }}
  {%- endcall -%}
  {%- if existing is not none -%}
    {%- do adapter.drop_relation(existing) -%}
  {%- endif -%}
  {%- do adapter.rename_relation(fresh, target_relation) -%}
{% endmacro %}
