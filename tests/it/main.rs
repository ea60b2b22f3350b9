mod storage_contract;
