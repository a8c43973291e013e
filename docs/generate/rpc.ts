import {
  type DescEnum,
  type DescField,
  type DescMessage,
  type DescMethod,
  type DescService,
  type FileRegistry,
  ScalarType,
} from '@bufbuild/protobuf';
import { commentOf, isReadOnly, ownFiles, ownServices, readContract, rolesOf, rulesOf } from './contract.ts';
import { generatedFrom, page, table } from './markdown.ts';

/** Returns the pages about the contract, by file name: one per service, and one for the shared messages. */
export function rpcPages(): Map<string, string> {
  const contract = readContract();
  const services = ownServices(contract);
  const pages = services.map((service): [string, string] => [fileOf(service), servicePage(contract, service)]);
  return new Map([...pages, ['rpc-messages.md', messagesPage(contract, services)]]);
}

function fileOf({ name }: DescService): string {
  return `rpc-${name.replace('Service', '').toLowerCase()}-service.md`;
}

function servicePage(contract: FileRegistry, service: DescService): string {
  const name = `${service.name}/`;
  return page(
    `# ${service.name}`,
    generatedFrom('the contract in `proto/`'),
    commentOf(service),
    '[Calling the API](calling-the-api.md) describes what all calls have in common. Roles are those of the key.',
    table(
      ['RPC', 'roles', 'read-only', 'description'],
      service.methods.map((method) => [
        `[${method.name}](#${method.name.toLowerCase()})`,
        rolesOf(contract, method).join(', '),
        isReadOnly(method) ? 'yes' : '',
        commentOf(method),
      ]),
    ),
    ...service.methods.flatMap((method) => methodSection(contract, method, name)),
  );
}

function methodSection(contract: FileRegistry, method: DescMethod, prefix: string): string[] {
  const { input, output } = method;
  return [
    `## ${method.name}`,
    [`\`brokkr.v1.${prefix}${method.name}\``, streamsOf(method), commentOf(method)].filter(Boolean).join('. '),
    part(contract, 'Request', input),
    part(contract, 'Answer', output),
  ];
}

function streamsOf({ methodKind }: DescMethod): string {
  switch (methodKind) {
    case 'unary':
      return '';
    case 'server_streaming':
      return 'Returns a stream';
    case 'client_streaming':
      return 'Takes a stream';
    case 'bidi_streaming':
      return 'A bidirectional stream';
  }
}

function part(contract: FileRegistry, title: string, message: DescMessage): string {
  const comment = commentOf(message);
  const about = comment === '' ? '' : ` ${comment}`;
  if (message.fields.length === 0) return `**${title}**, without fields.${about}`;
  return `**${title}**${about === '' ? '' : `:${about}`}\n\n${fieldTable(contract, message)}`;
}

function fieldTable(contract: FileRegistry, { fields }: DescMessage): string {
  const rules = fields.map((field) => rulesOf(contract, field));
  const ruled = rules.some((texts) => texts.length > 0);
  return table(
    ['field', 'type', 'description', ...(ruled ? ['rules'] : [])],
    fields.map((field, at) => [
      `\`${field.name}\``,
      typeOf(field),
      commentOf(field),
      ...(ruled ? [rules[at]?.join(', ') ?? ''] : []),
    ]),
  );
}

function typeOf(field: DescField): string {
  switch (field.fieldKind) {
    case 'map':
      return `map of ${ScalarType[field.mapKey].toLowerCase()} to ${field.mapKind === 'scalar' ? ScalarType[field.scalar].toLowerCase() : linkTo(field.message ?? field.enum)}`;
    case 'list':
      return `list of ${field.listKind === 'scalar' ? ScalarType[field.scalar].toLowerCase() : linkTo(field.message ?? field.enum)}`;
    case 'scalar':
      return ScalarType[field.scalar].toLowerCase();
    case 'enum':
      return linkTo(field.enum);
    case 'message':
      return linkTo(field.message);
  }
}

function linkTo(type: DescMessage | DescEnum): string {
  return type.file.proto.package === 'brokkr.v1'
    ? `[${nameOf(type)}](rpc-messages.md#${anchorOf(type)})`
    : `\`${type.typeName}\``;
}

function nameOf({ typeName }: DescMessage | DescEnum): string {
  return typeName.replace('brokkr.v1.', '');
}

function anchorOf(type: DescMessage | DescEnum): string {
  return nameOf(type).toLowerCase().replaceAll('.', '');
}

function messagesPage(contract: FileRegistry, services: readonly DescService[]): string {
  const enveloping = new Set(
    services.flatMap(({ methods }) => methods.flatMap(({ input, output }) => [input, output])),
  );
  const files = ownFiles(contract);
  const messages = files
    .flatMap(({ messages }) => messages.flatMap(withNested))
    .filter((type) => !enveloping.has(type));
  const enums = files.flatMap(({ enums, messages }) => [
    ...enums,
    ...messages.flatMap(({ nestedEnums }) => nestedEnums),
  ]);
  return page(
    '# Messages',
    generatedFrom('the contract in `proto/`'),
    'Messages and enumerations that several requests and answers share. The requests and answers themselves are described with their RPCs.',
    '## Message types',
    ...byName(messages).flatMap((message) => [
      `### ${nameOf(message)}`,
      commentOf(message),
      message.fields.length > 0 ? fieldTable(contract, message) : '',
    ]),
    '## Enumerations',
    ...byName(enums).flatMap((type) => [
      `### ${nameOf(type)}`,
      commentOf(type),
      table(
        ['value', 'number', 'description'],
        type.values.map((value) => [`\`${value.name}\``, String(value.number), commentOf(value)]),
      ),
    ]),
  );
}

/** Returns a message and those nested in it, without the entries of maps, which nobody names. */
function withNested(message: DescMessage): DescMessage[] {
  return [message, ...message.nestedMessages.filter(({ proto }) => !proto.options?.mapEntry).flatMap(withNested)];
}

function byName<T extends DescMessage | DescEnum>(types: readonly T[]): T[] {
  return types.toSorted((a, b) => nameOf(a).localeCompare(nameOf(b)));
}
