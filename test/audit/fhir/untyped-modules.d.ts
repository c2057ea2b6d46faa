declare module '@asymmetrik/fhir-json-schema-validator' {
  export default class JSONSchemaValidator {
    constructor(schema?: object)
    validate(resource: object, verbose?: boolean): readonly unknown[] | null
  }
}
