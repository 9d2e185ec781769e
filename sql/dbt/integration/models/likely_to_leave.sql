{{ config(materialized='table') }}

with known as (
    select * from {{ ref('stg_customers') }} where age is not null
)

select customer_id, probabilities['yes'] as risk
from {{ sqlml.predict('churn', 'known') }}
where prediction = 'yes'
