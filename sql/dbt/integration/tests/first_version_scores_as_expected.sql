-- expected_churn is what scikit-learn said of the customers whose age is known.
select *
from {{ ref('expected_churn') }} as expected
left join {{ ref('churn_first_version') }} as found using (customer_id)
where not found.prediction <=> expected.prediction
   or not coalesce(abs(found.probability - expected.probability) < 1e-6, false)
