select customer_id, age, tenure, plan, country
from {{ ref('customers') }}
