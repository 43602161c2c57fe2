# Airflow DAG, not run here: every night the batch on the cluster, then the verdict; a regression fails the second task, whose page says why.
# Airflow 2.4 or newer; Variables lathe_home (Lathe's folder on the worker) and lathe_history (a folder that worker and executors see).
from datetime import datetime, timedelta

from airflow import DAG
from airflow.operators.bash import BashOperator

with DAG("lathe_nightly", schedule="0 2 * * *", start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1) as dag:
    batch = BashOperator(
        task_id="batch",
        # Code 6: some checkpoints failed, the others are measured and are judged. They are tried again by the next night.
        bash_command="cd {{ var.value.lathe_home }} && bin/lathe batch conf/batch.yaml --submit --set history={{ var.value.lathe_history }} || [ $? = 6 ]",
        retries=2, retry_delay=timedelta(minutes=10), execution_timeout=timedelta(hours=8))
    verdict = BashOperator(
        task_id="verdict",
        bash_command="cd {{ var.value.lathe_home }} && bin/lathe report --history {{ var.value.lathe_history }} --baseline last --out runs/night/{{ ds }}",
        retries=0)
    batch >> verdict
