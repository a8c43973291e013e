import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { agentObjectReason } from './agent-objects.ts';

const objects = suite('objects of the agent');

const own = { name: 'infra', isShared: false, keySecret: 'key' };
const shared = { ...own, isShared: true };
const object = (kind: string, name: string, namespace = 'infra', apiVersion = 'v1') => ({
  apiVersion,
  kind,
  namespace,
  name,
});

objects('are all in its own namespace, and that namespace', () => {
  for (const one of [object('ConfigMap', 'a'), object('Secret', 'b'), object('Namespace', 'infra', '')])
    assert.match(agentObjectReason(one, own) ?? '', 'namespace infra is the agent’s own');
  for (const one of [object('ConfigMap', 'a', 'team'), object('Namespace', 'team', ''), object('ConfigMap', 'a', '')])
    assert.is(agentObjectReason(one, own), undefined);
});

objects('are in a namespace that it shares those with its names, and what would limit it', () => {
  for (const one of [
    object('Lease', 'brokkr-agent', 'infra', 'coordination.k8s.io/v1'),
    object('Secret', 'brokkr-agent-enrollment'),
    object('Secret', 'key'),
    object('ConfigMap', 'brokkr-inv-0'),
  ])
    assert.is(agentObjectReason(one, shared), 'the name is reserved for the agent', one.name);
  for (const one of [
    object('ResourceQuota', 'q'),
    object('LimitRange', 'l'),
    object('NetworkPolicy', 'n', 'infra', 'networking.k8s.io/v1'),
    object('CiliumNetworkPolicy', 'n', 'infra', 'cilium.io/v2'),
  ])
    assert.match(agentObjectReason(one, shared) ?? '', 'would limit the agent', one.kind);
  for (const one of [object('ConfigMap', 'key'), object('Secret', 'a'), object('ResourceQuota', 'q', 'team')])
    assert.is(agentObjectReason(one, shared), undefined);
});

objects.run();
