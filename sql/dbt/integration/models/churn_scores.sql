{{ config(materialized='scored', unique_key='customer_id', meta={'scored_by': 'churn'}) }}

select customer_id, age, tenure, plan, country
from {{ ref('stg_customers') }}
