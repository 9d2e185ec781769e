{{ config(materialized='table') }}

{% set dutch %}
select customer_id, age + 1 as age, tenure + 12 as tenure, plan, country
from {{ ref('stg_customers') }}
where country = 'NL'  -- a year on
{% endset %}

select country, count(*) as customers, sum(prediction) as spend
from {{ sqlml.predict('spend', dutch) }}
group by country
