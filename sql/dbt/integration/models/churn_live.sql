{{ config(materialized='view') }}

select customer_id, country, prediction, probability
from {{ sqlml.predict('churn', ref('stg_customers')) }}
