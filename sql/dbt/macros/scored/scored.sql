{#-
  A table of rows and their scores, one row for each unique_key. Rows that the model's current
  version has not scored are added; another version scores all rows anew.
-#}
{% materialization scored, adapter='spark' %}
  {%- set keys = sqlml.scored_keys() -%}
  {%- set version = sqlml.resolve(config.meta_require('scored_by')) -%}
  {%- set target_relation = this.incorporate(type='table') -%}
  {%- set existing = load_cached_relation(this) -%}
  {%- set all_rows = sqlml.scored_rows(version, sql) -%}
  {%- set anew = should_full_refresh() or sqlml.needs_rescoring(existing, version, all_rows) -%}

  {{ run_hooks(pre_hooks) }}

  {% if anew -%}
    {%- do sqlml.replace_table(existing, target_relation, all_rows) -%}
  {%- else -%}
    {%- call statement('main') -%}
      insert into {{ target_relation }} by name
      {{ sqlml.scored_rows(version, sqlml.not_yet_scored(sql, target_relation, keys)) }}
    {%- endcall -%}
  {%- endif %}

  {% do apply_grants(target_relation, config.get('grants'), should_revoke(existing, anew)) %}
  {% do persist_docs(target_relation, model) %}

  {{ run_hooks(post_hooks) }}

  {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
