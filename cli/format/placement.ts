import { matchReasonsText } from '../../contract/enum-labels.ts';
import { placementMessage } from '../../contract/placement-message.ts';
import { PlacementSchema } from '../../gen/brokkr/v1/placement_pb.ts';
import type { View } from '../output/view.ts';
import { ageText, styledLabelOf, styledPhases } from './enum-labels.ts';
import { healthText, healthTone } from './health.ts';

/** Prints placements. */
export const placementView: View<typeof PlacementSchema> = {
  schema: PlacementSchema,
  listField: 'placements',
  name: ({ stack, agent }) => `${stack} ${agent}`,
  columns: [
    { title: 'STACK', text: ({ stack }) => stack },
    { title: 'AGENT', text: ({ agent }) => agent },
    {
      title: 'PHASE',
      text: ({ phase }) => styledLabelOf(styledPhases, phase).text,
      tone: ({ phase }) => styledLabelOf(styledPhases, phase).tone,
    },
    { title: 'DESIRED', text: ({ desiredRevision }) => (desiredRevision === 0 ? '' : String(desiredRevision)) },
    {
      title: 'REPORTED',
      text: ({ reportedRevision }) => (reportedRevision === 0 ? '' : String(reportedRevision)),
      drop: 1,
    },
    { title: 'HEALTH', text: healthText, tone: healthTone },
    { title: 'AGE', text: ({ reportTime }) => ageText(reportTime), drop: 2 },
    { title: 'REASON', text: ({ reasons, removalReason }) => removalReason || matchReasonsText(reasons), drop: 3 },
    { title: 'MESSAGE', text: placementMessage, prose: true },
  ],
};
