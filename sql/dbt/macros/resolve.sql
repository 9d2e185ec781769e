{#- The one version that a reference means now: what scores with it can say which it was. -#}
{% macro resolve(model) %}
  {%- set reference = sqlml.literal(model) -%}
  {%- set name = modules.re.sub('^models:/|[@/][^@/]*$', '', model) -%}
  {%- if not execute -%}
    {{ return({'name': name, 'version': 0, 'sha256': '', 'reference': model}) }}
  {%- endif -%}
  {#- model_parity resolves a reference as PREDICT does, and says to which version. -#}
  {%- set found = run_query(
    "select v.version, v.sha256 from model_parity(" ~ reference ~ ") as meant"
    ~ " join model_versions(" ~ sqlml.literal(name) ~ ") as v on v.version = meant.version"
  ).rows -%}
  {%- if found | length != 1 -%}
    {%- do exceptions.raise_compiler_error(
      "[VERSION_NOT_FOUND] The version that " ~ reference ~ " means was deleted while sqlml.resolve"
      ~ " looked it up, expected one that stays. Run dbt again."
    ) -%}
  {%- endif -%}
  {%- set version = found[0]['version'] | int -%}
  {{ return({
    'name': name,
    'version': version,
    'sha256': found[0]['sha256'],
    'reference': name ~ '/' ~ version
  }) }}
{% endmacro %}
