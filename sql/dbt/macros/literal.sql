{#- The one place where text becomes a string in SQL: whatever could end a string is refused. -#}
{% macro literal(text) -%}
  {%- if not modules.re.fullmatch('[A-Za-z0-9_.@:/-]+', text | string) -%}
    {%- do exceptions.raise_compiler_error(
      "[REFERENCE_NOT_ALLOWED] sqlml was given \"" ~ (text | string).split() | join(' ')
      ~ "\", expected letters, digits and _ . - @ : / only. Write a model as 'churn',"
      ~ " 'churn@champion' or 'churn/3', a prefix as 'churn_'."
    ) -%}
  {%- endif -%}
  '{{ text }}'
{%- endmacro %}
