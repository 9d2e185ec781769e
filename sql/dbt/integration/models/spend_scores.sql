{{ config(
    materialized='scored',
    unique_key=['customer_id', 'plan'],
    meta={'scored_by': 'spend', 'prefix': 'spend_'}
) }}

with customers as (
    select * from {{ ref('stg_customers') }}
)

select customer_id, age, tenure, plan
from customers
