{{ config(materialized='table') }}
{% set churn = sqlml.resolve('churn/1') %}

select customer_id, prediction, probability, {{ sqlml.model_columns(churn) }}
from {{ sqlml.predict(churn, ref('stg_customers')) }}
