"""The genres that the small base learns to read; the demo's utility bill is none of them."""

from training.demo.genres import Genre, parse_fields

RECEIPT = Genre(
    "receipt",
    ("RECEIPT", "Sales receipt", "Till receipt", "Thank you for shopping", "Cash sale"),
    parse_fields("""
store | company | Store; Shop; Merchant; Sold by | shop name; store name
store_address | address | Address; Store address; Location | address of the shop
date | date | Date; Receipt date; Purchase date; Sold on | date of purchase
time | time | Time; Till time; Printed at | time of purchase
receipt_number | code | Receipt no.; Receipt number; Ticket no.; Bon | receipt id; number of the receipt
cashier | name | Cashier; Served by; Clerk; Your cashier | cashier name
till | integer | Till; Register; Terminal; POS | till number
subtotal | amount | Subtotal; Sub-total; Net; Goods | subtotal before tax
tax | amount | Tax; VAT; Sales tax; MwSt | tax amount
total | amount | Total; TOTAL; Amount due; Grand total; To pay | total amount; sum to pay
cash | amount | Cash; Tendered; Cash given; Paid | cash received
change | amount | Change; Change due; Your change | change given back
payment | payment | Payment; Paid by; Payment method; Tender | method of payment
items_count | integer | Items; No. of items; Articles | number of items
"""),
    has_items=True,
)
INVOICE = Genre(
    "invoice",
    ("INVOICE", "Invoice", "Tax invoice", "Commercial invoice", "Bill"),
    parse_fields("""
invoice_number | code | Invoice no.; Invoice number; Invoice #; Inv. No; Document no. | invoice id; number of the invoice
date | date | Invoice date; Date; Issued; Date of issue | date of the invoice
due_date | date | Due date; Payable until; Pay by; Due; Payment due | date when payment is due
seller | company | Seller; Supplier; From; Vendor; Issued by | name of the seller; vendor name
seller_address | address | Supplier address; Our address; Registered office | address of the seller
buyer | company | Bill to; Customer; Buyer; Sold to; Invoice to | name of the buyer; customer name
buyer_address | address | Billing address; Customer address; Address | address of the buyer
customer_number | code | Customer no.; Client no.; Account; Cust. ID | customer number; client number
order_number | code | Order no.; PO number; Your order; Purchase order | order number; purchase order number
net | amount | Net amount; Subtotal; Net total; Total excl. VAT | net sum; total before tax
tax | amount | VAT; Tax; VAT amount; Sales tax | tax amount
tax_rate | percent | VAT rate; Tax rate; Rate of VAT | rate of tax
total | amount | Total; Total due; Amount due; Grand total; Balance due; Total incl. VAT | total amount; amount to pay
iban | iban | IBAN; Bank account; Account (IBAN) | iban of the seller
vat_id | code | VAT ID; VAT reg. no.; Tax ID; USt-IdNr. | tax number; vat number
terms | 14 days net/30 days/on receipt/60 days net/10 days 2 % | Terms; Payment terms; Conditions | terms of payment
"""),  # noqa: E501
    has_items=True,
)
DELIVERY = Genre(
    "delivery note",
    ("DELIVERY NOTE", "Delivery slip", "Packing list", "Consignment note", "Waybill"),
    parse_fields("""
delivery_number | code | Delivery no.; Delivery note no.; Slip no.; Consignment | delivery note number
ship_date | date | Shipped; Ship date; Dispatch date; Sent on | date of dispatch; shipping date
delivery_date | date | Delivered; Delivery date; Arrival; Expected | date of delivery
sender | company | Sender; Shipper; From; Consignor | name of the sender; shipper name
sender_address | address | Sender address; Pick-up address; Collected at | address of the sender
recipient | name | Recipient; Ship to; Consignee; Deliver to | name of the recipient; receiver
recipient_address | address | Delivery address; Ship-to address; Destination | address of the recipient
carrier | company | Carrier; Haulier; Forwarder; Shipped via | carrier name; transport company
tracking | code | Tracking no.; Tracking; Parcel no.; Track & trace | tracking number; parcel number
order_number | code | Order no.; Your order; Order ref. | order number
weight | quantity | Weight; Gross weight; Total weight | weight of the shipment
packages | integer | Packages; Parcels; Colli; No. of packages | number of packages
driver | name | Driver; Delivered by; Driver name | name of the driver
received_by | name | Received by; Signed by; Accepted by | who signed for it
"""),
    has_items=True,
)
SUPPORT = Genre(
    "support mail",
    ("Support request", "Complaint", "Help needed", "Question about my order", "Problem report"),
    parse_fields("""
customer | name | Name; Customer; Contact; Submitted by | customer name; who wrote it
email | email | E-mail; Email; Mail; Reply to | mail address
phone | phone | Phone; Tel.; Telephone; Call me at | phone number
order_number | code | Order no.; Order; Order number; Order ID | order number
product | product | Product; Item; Article; Product name | name of the product
serial | code | Serial no.; S/N; Serial number; Device no. | serial number
purchase_date | date | Purchase date; Bought on; Date of purchase | when it was bought
ticket | code | Ticket; Case no.; Ticket no.; Reference | ticket number; case number
refund | amount | Refund; Amount; Refund amount; Claimed | amount to refund
priority | low/normal/high/urgent | Priority; Urgency; Severity | how urgent it is
agent | name | Agent; Handled by; Assigned to | agent name
"""),
    is_letter=True,
)
CLAIM = Genre(
    "insurance claim",
    ("CLAIM FORM", "Notice of loss", "Insurance claim", "Damage report", "Claim notification"),
    parse_fields("""
claim_number | code | Claim no.; Claim number; Claim ref.; File no. | claim id; number of the claim
policy_number | code | Policy no.; Policy; Policy number; Contract no. | policy id; insurance number
insured | name | Insured; Policyholder; Policy holder; Insured person | name of the insured
claimant | name | Claimant; Claimed by; Injured party | name of the claimant
loss_date | date | Date of loss; Loss date; Incident date; Date of damage | date of the incident
report_date | date | Reported; Report date; Notified on; Date of report | date of the report
loss_place | place | Place of loss; Location; Scene; Where | place of the incident
loss_type | fire/water damage/theft/collision/hail/storm/glass breakage/burglary | Type of loss; Cause; Kind of damage; Peril | cause of damage
amount | amount | Claimed amount; Claim amount; Amount claimed; Damage | amount claimed; sum claimed
deductible | amount | Deductible; Excess; Own share | deductible amount
adjuster | name | Adjuster; Surveyor; Expert; Case handler | name of the adjuster
plate | code | Plate; Licence plate; Registration; Reg. no. | licence plate
insurer | company | Insurer; Insurance company; Underwriter | name of the insurer
"""),  # noqa: E501
    is_letter=True,
)
LAB = Genre(
    "laboratory report",
    ("LABORATORY REPORT", "Lab report", "Test results", "Pathology report", "Blood test"),
    parse_fields("""
patient | name | Patient; Patient name; Name; Subject | name of the patient
birth_date | date | Date of birth; DOB; Born; Birth date | date of birth
patient_id | code | Patient ID; Patient no.; MRN; Chart no. | patient number; medical record number
physician | name | Physician; Referring doctor; Ordered by; Doctor; Requested by | name of the doctor
sample_id | code | Sample; Sample ID; Specimen no.; Lab no. | sample number; specimen number
collected | date | Collected; Sample taken; Collection date; Drawn | date of collection
reported | date | Reported; Report date; Results date; Released | date of the report
sex | female/male/F/M | Sex; Gender | sex of the patient
glucose | decimal | Glucose; Blood glucose; GLU | glucose value
hemoglobin | decimal | Hemoglobin; Haemoglobin; HGB; Hb | hemoglobin value
cholesterol | decimal | Cholesterol; Total cholesterol; CHOL | cholesterol value
creatinine | decimal | Creatinine; CREA; S-Creatinine | creatinine value
potassium | decimal | Potassium; K; K+ | potassium value
laboratory | company | Laboratory; Lab; Performed at | name of the laboratory
ward | integer | Ward; Room; Unit | ward number
"""),
)
ORDER = Genre(
    "purchase order",
    ("PURCHASE ORDER", "Order confirmation", "Sales order", "Order", "Web order"),
    parse_fields("""
order_number | code | Order no.; Order number; PO no.; Order ID; Order # | order number; number of the order
order_date | date | Order date; Ordered on; Date; Placed on | date of the order
customer | name | Customer; Ordered by; Client; Purchaser | customer name; who ordered
supplier | company | Supplier; Vendor; Ordered from; Seller | supplier name
product | product | Product; Item; Article; Description | product name; what was ordered
quantity | quantity | Quantity; Qty; Ordered quantity | quantity ordered
unit_price | amount | Unit price; Price; Price each; Per unit | price of one unit
shipping | amount | Shipping; Freight; Delivery charge; Postage | cost of shipping
discount | percent | Discount; Rebate; Reduction | discount rate
total | amount | Total; Order total; Order value; Sum | total amount; value of the order
delivery_date | date | Delivery date; Requested delivery; Deliver by; Ship by | requested delivery date
ship_to | address | Ship to; Delivery address; Shipping address | delivery address
contact | email | Contact; E-mail; Email | mail of the contact
payment | payment | Payment; Payment method; Pay by | method of payment
"""),
    has_items=True,
)
HOTEL = Genre(
    "hotel booking",
    ("BOOKING CONFIRMATION", "Reservation", "Hotel voucher", "Your stay", "Guest folio"),
    parse_fields("""
guest | name | Guest; Guest name; Booked for; Main guest | name of the guest
hotel | company | Hotel; Property; Accommodation | name of the hotel
hotel_address | address | Hotel address; Address; Property address | address of the hotel
booking_number | code | Booking no.; Confirmation no.; Reservation no.; Booking ref. | booking number; reservation number
check_in | date | Check-in; Arrival; Arriving; From | arrival date; check-in date
check_out | date | Check-out; Departure; Leaving; Until | departure date; check-out date
room | integer | Room; Room no.; Room number | number of the room
room_type | single room/double room/suite/twin room/family room/studio | Room type; Category; Accommodation type | type of room
nights | integer | Nights; No. of nights; Length of stay | number of nights
guests | integer | Guests; Persons; Adults; Occupancy | number of guests
rate | amount | Rate; Room rate; Price per night; Nightly rate | price per night
city_tax | amount | City tax; Tourist tax; Local tax | tourist tax
total | amount | Total; Total price; Total stay; Amount | total price
deposit | amount | Deposit; Prepaid; Advance payment | deposit paid
booked_on | date | Booked on; Booking date; Reservation made | date of booking
phone | phone | Phone; Hotel phone; Tel. | phone of the hotel
"""),  # noqa: E501
    is_letter=True,
)
EMPLOYMENT = Genre(
    "employment",
    ("EMPLOYMENT CONTRACT", "Payslip", "Staff record", "Salary statement", "Offer of employment"),
    parse_fields("""
employee | name | Employee; Employee name; Staff member; Name | name of the employee
employer | company | Employer; Company; Firm | name of the employer
employee_id | code | Employee ID; Staff no.; Personnel no.; Payroll no. | employee number; personnel number
position | job | Position; Job title; Role; Employed as | job title; position held
department | Sales/Finance/Production/IT/Logistics/Human Resources/Marketing/Purchasing | Department; Dept.; Team; Division | name of the department
start_date | date | Start date; Entry date; Employed since; Begin | first day of work
end_date | date | End date; Contract ends; Last day; Exit date | last day of work
salary | amount | Gross salary; Salary; Gross pay; Monthly gross | gross salary
net_pay | amount | Net pay; Net salary; Payout; Paid out | net salary
tax | amount | Income tax; Wage tax; Tax withheld; PAYE | income tax
hours | decimal | Hours; Weekly hours; Working time | hours per week
manager | name | Manager; Supervisor; Reports to; Line manager | name of the manager
birth_date | date | Date of birth; Born; Birthday | date of birth
iban | iban | IBAN; Salary account; Bank account | bank account
"""),  # noqa: E501
    is_letter=True,
)
BANK = Genre(
    "bank statement",
    ("BANK STATEMENT", "Account statement", "Transfer advice", "Statement of account", "Payment advice"),
    parse_fields("""
holder | name | Account holder; Holder; Account owner; Client | name of the account holder
bank | company | Bank; Branch; Institution | name of the bank
iban | iban | IBAN; Account; Account number; Account no. | account number
statement_date | date | Statement date; Date; As of; Issued on | date of the statement
statement_number | integer | Statement no.; Sheet; Statement number | number of the statement
opening | amount | Opening balance; Previous balance; Balance brought forward; Old balance | balance at the start
closing | amount | Closing balance; New balance; Balance; Current balance | balance at the end
credits | amount | Credits; Total credits; Money in; Deposits | total credited
debits | amount | Debits; Total debits; Money out; Withdrawals | total debited
beneficiary | name | Beneficiary; Payee; Paid to; Recipient | name of the payee
reference | code | Reference; Payment reference; Transaction ID; Ref. | payment reference
value_date | date | Value date; Booked; Valuta; Booking date | date of booking
fee | amount | Fee; Charges; Bank fee; Commission | fee charged
interest | percent | Interest; Interest rate; Rate | interest rate
"""),
)
TICKET = Genre(
    "travel ticket",
    ("E-TICKET", "Boarding pass", "Train ticket", "Travel itinerary", "Bus ticket"),
    parse_fields("""
passenger | name | Passenger; Traveller; Name; Passenger name | name of the passenger
origin | city | From; Origin; Departure station; Leaving from | where the trip starts
destination | city | To; Destination; Arrival station; Going to | where the trip ends
travel_date | date | Date; Travel date; Date of travel; Departure date | date of travel
departure_time | time | Departure; Departs; Dep.; Leaves | time of departure
arrival_time | time | Arrival; Arrives; Arr. | time of arrival
seat | code | Seat; Seat no.; Place | seat number
coach | integer | Coach; Carriage; Car; Wagon | coach number
train | code | Train; Flight; Service; Train no.; Flight no. | train or flight number
gate | integer | Gate; Platform; Track | gate or platform
booking_code | code | Booking code; PNR; Record locator; Booking ref. | booking reference
ticket_number | code | Ticket no.; Ticket number; E-ticket no. | number of the ticket
class | first class/second class/economy/business/standard/premium | Class; Travel class; Fare class | class of travel
fare | amount | Fare; Price; Ticket price; Paid | ticket price
issued | date | Issued; Issue date; Sold on; Date of issue | date of issue
"""),
)
VEHICLE = Genre(
    "vehicle record",
    ("VEHICLE INSPECTION", "Rental agreement", "Service record", "Car sale", "Workshop order"),
    parse_fields("""
owner | name | Owner; Keeper; Vehicle owner; Registered keeper | name of the owner
plate | code | Plate; Reg. no.; Registration; Number plate | registration number
vin | code | VIN; Chassis no.; Vehicle ID; Frame no. | chassis number
make | company | Make; Manufacturer; Brand | manufacturer name
mileage | integer | Mileage; Odometer; Km reading; Kilometres | mileage of the vehicle
mileage_last | integer | Last mileage; Previous mileage; Mileage at last service | mileage at the previous service
inspection_date | date | Inspection date; Inspected; Date of test; Tested on | date of inspection
next_inspection | date | Next inspection; Next due; Valid until; Retest by | date of the next inspection
first_registration | date | First registration; Registered; In use since | date of first registration
mechanic | name | Mechanic; Inspector; Tested by; Technician | name of the inspector
workshop | company | Workshop; Garage; Test centre | name of the workshop
labour | amount | Labour; Labour cost; Work | cost of labour
parts | amount | Parts; Materials; Spare parts | cost of parts
total | amount | Total; Invoice total; Total cost; To pay | total amount
power | decimal | Power; Engine power; Output kW | engine power
"""),
)
LEASE = Genre(
    "lease",
    ("LEASE AGREEMENT", "Tenancy agreement", "Rent statement", "Rental contract", "Handover record"),
    parse_fields("""
tenant | name | Tenant; Lessee; Renter; Occupant | name of the tenant
landlord | name | Landlord; Lessor; Owner; Let by | name of the landlord
agency | company | Agent; Managing agent; Agency; Administrator | name of the agency
premises | address | Premises; Property; Rented property; Flat | address of the property
contract_number | code | Contract no.; Lease no.; Agreement no.; Tenancy ref. | contract number
start | date | Start; Lease start; Begins; Commencement | start of the lease
end | date | End; Lease end; Expires; Termination | end of the lease
rent | amount | Rent; Monthly rent; Basic rent; Net rent | monthly rent
heating | amount | Heating; Heating costs; Heating advance | cost of heating
service | amount | Service charge; Utilities; Ancillary costs | service charge
deposit | amount | Deposit; Security deposit; Bond | deposit
area | decimal | Area; Floor area; Size m2; Living space | floor area
rooms | integer | Rooms; No. of rooms; Bedrooms | number of rooms
meter_date | date | Handover; Handover date; Keys handed over | date of handover
signed | date | Signed; Date of signature; Signed on | date of signature
"""),
    is_letter=True,
)

TRAINING_GENRES = (
    RECEIPT,
    INVOICE,
    DELIVERY,
    SUPPORT,
    CLAIM,
    LAB,
    ORDER,
    HOTEL,
    EMPLOYMENT,
    BANK,
    TICKET,
    VEHICLE,
    LEASE,
)
