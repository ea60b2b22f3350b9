mod drift;
mod edge;
mod engine;
mod fixtures;
mod forks;
mod http;
mod layers;
mod storage_contract;
