{#- Whether no rows can be added to a table: it is not there, has other columns, or another version scored it. -#}
{% macro needs_rescoring(table, version, all_rows) %}
  {%- if table is none or not table.is_table -%}
    {{ return(true) }}
  {%- endif -%}
  {%- set found = adapter.get_columns_in_relation(table) | map(attribute='name') -%}
  {%- set wanted = get_columns_in_query(all_rows) -%}
  {#- Sorted, because a partitioned table has its partition columns last. -#}
  {%- if found | map('lower') | sort != wanted | map('lower') | sort -%}
    {{ return(true) }}
  {%- endif -%}
  {%- set others = run_query(
    "select 1 from " ~ table
    ~ " where model_name <> '" ~ version.name ~ "' or model_version <> " ~ version.version
    ~ " or model_sha256 <> '" ~ version.sha256 ~ "' limit 1"
  ) -%}
  {{ return(others.rows | length > 0) }}
{% endmacro %}
