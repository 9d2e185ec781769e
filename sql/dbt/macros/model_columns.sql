{#- The columns that say which version scored a row, and when. -#}
{% macro model_columns(version) -%}
  {%- if version is not mapping -%}
    {#- A name could mean another version here than it means to predict. -#}
    {%- do exceptions.raise_compiler_error(
      "[ARGUMENT_INVALID] sqlml.model_columns was given \"" ~ version
      ~ "\", expected what sqlml.resolve returns. Write {% set churn = sqlml.resolve('churn') %},"
      ~ " and give churn to sqlml.predict and to sqlml.model_columns."
    ) -%}
  {%- endif -%}
  {{ sqlml.literal(version.name) }} as model_name,
  {{ version.version }} as model_version,
  '{{ version.sha256 }}' as model_sha256,
  current_timestamp() as scored_at
{%- endmacro %}
