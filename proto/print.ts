import type { DescEnum, DescExtension, DescField, DescFile, DescMessage, DescOneof } from '@bufbuild/protobuf';
import { ScalarType } from '@bufbuild/protobuf';
import { FieldDescriptorProto_Label, FieldDescriptorProto_Type } from '@bufbuild/protobuf/wkt';

/**
 * Prints a proto2 file's messages, enums and extensions as .proto text, without comments and without options: enough to
 * compile files that use its extensions against it.
 */
export function printProto(file: DescFile): string {
  const lines = ['syntax = "proto2";', '', `package ${file.proto.package};`, ''];
  for (const dependency of file.dependencies) lines.push(`import "${dependency.proto.name}";`);
  for (const message of file.messages) lines.push(...printMessage(message, ''));
  for (const item of file.enums) lines.push(...printEnum(item, ''));
  for (const extension of file.extensions) lines.push(...printExtension(extension, ''));
  return `${lines.join('\n')}\n`;
}

function printMessage(message: DescMessage, indent: string): string[] {
  const inner = `${indent}  `;
  const lines = [`${indent}message ${message.name} {`];
  const seen = new Set<DescOneof>();
  for (const field of message.fields) {
    if (!field.oneof) lines.push(`${inner}${label(field)}${fieldText(field)}`);
    else if (!seen.has(field.oneof)) {
      seen.add(field.oneof);
      lines.push(`${inner}oneof ${field.oneof.name} {`);
      for (const member of field.oneof.fields) lines.push(`${inner}  ${fieldText(member)}`);
      lines.push(`${inner}}`);
    }
  }
  for (const nested of message.nestedMessages)
    if (nested.proto.options?.mapEntry !== true) lines.push(...printMessage(nested, inner));
  for (const nested of message.nestedEnums) lines.push(...printEnum(nested, inner));
  for (const range of message.proto.extensionRange) {
    lines.push(`${inner}extensions ${range.start} to ${range.end === 0x20000000 ? 'max' : (range.end ?? 0) - 1};`);
  }
  for (const extension of message.nestedExtensions) lines.push(...printExtension(extension, inner));
  lines.push(`${indent}}`);
  return lines;
}

function printEnum(item: DescEnum, indent: string): string[] {
  return [
    `${indent}enum ${item.name} {`,
    ...item.values.map((value) => `${indent}  ${value.name} = ${value.number};`),
    `${indent}}`,
  ];
}

function printExtension(extension: DescExtension, indent: string): string[] {
  return [
    `${indent}extend .${extension.extendee.typeName} {`,
    `${indent}  ${label(extension)}${fieldText(extension)}`,
    `${indent}}`,
  ];
}

function label(field: DescField | DescExtension): string {
  if (field.fieldKind === 'map') return '';
  if (field.proto.label === FieldDescriptorProto_Label.REPEATED) return 'repeated ';
  return field.proto.label === FieldDescriptorProto_Label.REQUIRED ? 'required ' : 'optional ';
}

function fieldText(field: DescField | DescExtension): string {
  return `${typeText(field)} ${field.name} = ${field.number};`;
}

function typeText(field: DescField | DescExtension): string {
  if (field.fieldKind === 'map') {
    const value = field.mapKind === 'scalar' ? scalar(field.scalar) : `.${(field.message ?? field.enum)?.typeName}`;
    return `map<${scalar(field.mapKey)}, ${value}>`;
  }
  const named = field.message ?? field.enum;
  return named ? `.${named.typeName}` : (FieldDescriptorProto_Type[field.proto.type] ?? '').toLowerCase();
}

function scalar(type: ScalarType): string {
  return (ScalarType[type] ?? '').toLowerCase();
}
