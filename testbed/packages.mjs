// What tests take from packages: only files in this folder find them by name.
export * as dpop from 'dpop';
export * as jose from 'jose';
export { parser as promql } from '@prometheus-io/lezer-promql';
export * as yaml from 'yaml';
